/** What lies here, with what says whether it may go: read from the store's tables, and asked of whoever knows the records. */
import type { Stats } from 'node:fs'
import type { Digest, Repository } from '../../oci/oci.ts'
import { linkKey, parseLinkKey, within } from '../database/database.ts'
import type { BlobFiles } from '../files/blob-files.ts'
import type { TableContext } from '../links/link-table.ts'
import type { Partials } from '../partials/partial.ts'
import { type Resident, whyMayGo } from './eviction-order.ts'
import type { LastUses } from './last-uses.ts'

/** Whom a manifest belongs to: `own` was pushed to the cluster, `outside` came from an upstream that has it still, and answers. */
export type Belonging = 'kept' | 'own' | 'outside'

export interface ManifestHold {
  belongs: Belonging
  /** What it refers to: it is kept with that. */
  subject?: Digest
}

/** How long members may still be asked in one look: whoever asks them takes off what that took. */
export interface AskingBudget {
  leftMs: number
}

/** What the store cannot know by itself. */
export interface EvictionRules {
  /** Whether links and references are all there: what lost them looks as if nothing needed it. Nothing goes while they are not. */
  isWhole(): boolean
  /** Of a manifest, or, without one, of what the repository holds and no manifest refers to. */
  holdOf(repository: Repository, manifest: Digest | undefined): Promise<ManifestHold>
  /** Whether all who have to have the blob have it without this node. Absent: nothing is surplus. */
  isSurplus?(digest: Digest, budget: AskingBudget): Promise<boolean>
  /** Whether somebody still waits for the rest of it. */
  isWanted(digest: Digest): boolean
}

/** Who was told that a blob is here has this long to refer to it. */
const promiseMs = 3_600_000
/** A part that nobody went on with for this long may go. */
const partIdleMs = 3_600_000
/** Somebody may wait for the room. */
const askingMs = 5_000
/** What so many manifests hold stays. */
const mostAncestors = 1_000

export interface ResidentsOptions {
  context: TableContext
  files: BlobFiles
  partials: Pick<Partials, 'list'>
  uses: LastUses
}

/** One look over the store; what it learned of manifests is not asked again. */
export class Residents {
  readonly #options: ResidentsOptions
  readonly #rules: EvictionRules
  readonly #budget: AskingBudget = { leftMs: askingMs }
  readonly #holds = new Map<string, Promise<ManifestHold>>()

  constructor(options: ResidentsOptions, rules: EvictionRules) {
    this.#options = options
    this.#rules = rules
  }

  async *list(signal: AbortSignal): AsyncGenerator<Resident> {
    const { files, partials, context } = this.#options
    for (const { digest, size, idleMs } of await partials.list()) {
      yield {
        ...nothingKnown(digest, size),
        usedMs: context.leases.now() - idleMs,
        isPart: true,
        isInUse: idleMs < partIdleMs,
        isKept: this.#rules.isWanted(digest),
      }
    }
    for await (const digest of files.list()) {
      signal.throwIfAborted()
      const resident = await this.find(digest)
      if (resident !== undefined) yield resident
    }
  }

  /** A blob as it is now. */
  async find(digest: Digest): Promise<Resident | undefined> {
    const { files, uses } = this.#options
    const file = await files.stat(digest)
    if (file === undefined) return undefined
    const { repositories, isPromised } = await this.#linksOf(digest, file)
    const holders = await this.#holdersOf(digest, repositories)
    const belongs = new Set<Belonging>()
    for (const [repository, manifest] of holders.list)
      belongs.add((await this.#holdOf(repository, manifest)).belongs)
    const [first] = repositories
    const resident = {
      ...nothingKnown(digest, file.size),
      ...(first === undefined ? {} : { repository: first }),
      usedMs: Math.max(file.mtimeMs, uses.find(digest) ?? 0),
      isInUse: uses.isRead(digest) || this.#rules.isWanted(digest),
      isPromised,
      isKept: holders.areTooMany || belongs.has('kept'),
      isReferenced: holders.isReferenced,
      isOutside: belongs.size === 1 && belongs.has('outside'),
    }
    // The others are asked only where it depends on them.
    if (whyMayGo({ ...resident, isSurplus: true }) !== 'surplus' || !resident.isReferenced) return resident
    return { ...resident, isSurplus: (await this.#rules.isSurplus?.(digest, this.#budget)) ?? false }
  }

  /** A file's time is a promise as well: that of a blob not linked yet. */
  async #linksOf(
    digest: Digest,
    file: Stats,
  ): Promise<{ repositories: Set<Repository>; isPromised: boolean }> {
    const { tables, leases } = this.#options.context
    const repositories = new Set<Repository>()
    let isPromised = leases.mayBePromised(file.mtimeMs, promiseMs)
    for await (const [key, lease] of tables.links.iterator(within(digest))) {
      repositories.add(parseLinkKey(key).repository)
      isPromised ||= leases.mayBePromised(Number(lease), promiseMs)
    }
    return { repositories, isPromised }
  }

  /** Every manifest through which the blob is reached, and, for a repository that has it without one, that repository. */
  async #holdersOf(
    digest: Digest,
    repositories: Set<Repository>,
  ): Promise<{
    list: [Repository, Digest | undefined][]
    isReferenced: boolean
    areTooMany: boolean
  }> {
    const list: [Repository, Digest | undefined][] = []
    const seen = new Set<string>()
    const bare = new Set(repositories)
    const waiting: { repository: Repository; child: Digest }[] = []
    const add = (repository: Repository, manifest: Digest): void => {
      const name = linkKey(manifest, repository)
      if (seen.has(name) || seen.size > mostAncestors) return
      seen.add(name)
      list.push([repository, manifest])
      waiting.push({ repository, child: manifest })
    }
    for await (const [repository, parent] of this.#parentsOf(digest)) {
      bare.delete(repository)
      add(repository, parent)
    }
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { repository, child } = next
      for await (const [, parent] of this.#parentsOf(child, repository)) add(repository, parent)
      const { subject } = await this.#holdOf(repository, child)
      if (subject !== undefined) add(repository, subject)
    }
    const isReferenced = list.length > 0
    for (const repository of bare) list.push([repository, undefined])
    return { list, isReferenced, areTooMany: seen.size > mostAncestors }
  }

  async *#parentsOf(child: Digest, ...repository: Repository[]): AsyncGenerator<[Repository, Digest]> {
    const { references } = this.#options.context.tables
    for await (const key of references.keys({ ...within(child, ...repository), limit: mostAncestors + 1 })) {
      const [, name = '', parent = ''] = key.split('\0')
      yield [name as Repository, parent as Digest]
    }
  }

  #holdOf(repository: Repository, manifest: Digest | undefined): Promise<ManifestHold> {
    const name = `${repository}\0${manifest ?? ''}`
    const known = this.#holds.get(name)
    if (known !== undefined) return known
    const asked = this.#rules.holdOf(repository, manifest)
    this.#holds.set(name, asked)
    return asked
  }
}

function nothingKnown(digest: Digest, bytes: number): Resident {
  return {
    digest,
    bytes,
    usedMs: 0,
    isPart: false,
    isInUse: false,
    isPromised: false,
    isKept: false,
    isReferenced: false,
    isOutside: false,
    isSurplus: false,
  }
}
