/**
 * Quotas: what all repositories that a pattern matches may have together, in bytes that their tags name, each blob once, and
 * in tags. Counted once when a push first asks, and carried on from there by what the ledger says has changed.
 */
import { type Logger, logFailure, paged, Semaphore, writeSize } from '../base/base.ts'
import { type Digest, OciError, type Repository, type Tag } from '../oci/oci.ts'
import type { ChangedKey, Names, TagEntry } from '../records/records.ts'
import type { Store } from '../store/store.ts'
import type { Elsewhere } from './elsewhere.ts'
import { imagePartsOf } from './image-parts.ts'
import { type Part, QuotaTally } from './quota-tally.ts'

export interface Quota {
  /** The pattern. */
  repositories: string
  bytes?: number
  tags?: number
}

/** All that apply to a repository. */
export type QuotasFor = (repository: Repository) => readonly Quota[]

interface QuotasOptions {
  quotasFor: QuotasFor
  store: Pick<Store, 'blobs' | 'manifests'>
  names: Pick<Names, 'listRepositories' | 'listTags' | 'findTag'>
  elsewhere: Pick<Elsewhere, 'fetchManifest'>
  logger: Logger
}

interface NamedTag {
  repository: Repository
  tag: Tag
}

/** Manifests that only others have, and that are asked for one after the other. */
const mostAbsent = 10_000

export class Quotas {
  readonly #options: QuotasOptions
  /** By pattern. */
  readonly #tallies = new Map<string, QuotaTally>()
  /** Tags that have changed since they were counted. */
  readonly #changed = new Map<string, NamedTag>()
  readonly #absent = new Map<string, NamedTag>()
  readonly #counting = new Semaphore(1)
  #isBringing = false

  constructor(options: QuotasOptions) {
    this.#options = options
  }

  learn(changes: ChangedKey[]): void {
    for (const change of changes) {
      if (change.kind === 'policy') this.#tallies.clear()
      if (change.kind !== 'tag' || this.#tallies.size === 0) continue
      const { repository, tag } = change
      if (this.#options.quotasFor(repository).length === 0) continue
      this.#changed.set(nameOf(repository, tag), { repository, tag })
    }
  }

  /** Counts an image under these tags, or throws `QUOTA_EXCEEDED` naming the rule. Follow it by `recount` where it is not published. */
  async admit(
    repository: Repository,
    tags: readonly Tag[],
    manifest: { digest: Digest; mediaType: string; bytes: Uint8Array },
  ): Promise<void> {
    const quotas = this.#options.quotasFor(repository)
    if (quotas.length === 0 || tags.length === 0) return
    await this.#counting.run(async () => {
      const tallies = await this.#talliesOf(quotas)
      const { parts } = await this.#partsOf({ ...manifest, size: manifest.bytes.length }, async (digest) =>
        digest === manifest.digest ? manifest.bytes : undefined,
      )
      const names = tags.map((tag) => nameOf(repository, tag))
      for (const [index, { quota, tally }] of tallies.entries()) {
        const refusal = tryOut(quota, tally, names, parts)
        if (refusal === undefined) continue
        for (const before of tallies.slice(0, index)) this.#forget(before.tally, repository, tags)
        throw refusal
      }
    })
  }

  /** What was counted for a push that failed is counted anew. */
  recount(repository: Repository, tags: readonly Tag[]): void {
    for (const tag of tags) this.#changed.set(nameOf(repository, tag), { repository, tag })
  }

  /** Throws `QUOTA_EXCEEDED` where a blob of that size cannot be part of any image there. */
  async checkBlob(repository: Repository, blob: { digest?: Digest; bytes: number }): Promise<void> {
    const quotas = this.#options.quotasFor(repository).filter(({ bytes }) => bytes !== undefined)
    if (quotas.length === 0) return
    await this.#counting.run(async () => {
      for (const { quota, tally } of await this.#talliesOf(quotas)) {
        const isKnown = blob.digest !== undefined && tally.has(blob.digest)
        if (!isKnown && tally.bytes + blob.bytes > (quota.bytes ?? 0))
          throw tooLarge(quota, tally, blob.bytes)
      }
    })
  }

  async #talliesOf(quotas: readonly Quota[]): Promise<{ quota: Quota; tally: QuotaTally }[]> {
    for (const [name, changed] of this.#changed) {
      // Before: what changes while it is counted is counted again.
      this.#changed.delete(name)
      await this.#count(changed)
    }
    const found = []
    for (const quota of quotas) found.push({ quota, tally: await this.#tallyOf(quota.repositories) })
    return found
  }

  async #tallyOf(pattern: string): Promise<QuotaTally> {
    const known = this.#tallies.get(pattern)
    if (known !== undefined) return known
    const tally = new QuotaTally()
    // From now on what changes is noted.
    this.#tallies.set(pattern, tally)
    try {
      await this.#countAll(pattern, tally)
    } catch (error) {
      this.#tallies.delete(pattern)
      throw error
    }
    return tally
  }

  async #countAll(pattern: string, tally: QuotaTally): Promise<void> {
    const { names, quotasFor } = this.#options
    for await (const repository of paged((page) => names.listRepositories(page))) {
      if (!quotasFor(repository).some(({ repositories }) => repositories === pattern)) continue
      for await (const tag of paged((page) => names.listTags(repository, page))) {
        const parts = await this.#partsOfTag({ repository, tag })
        tally.set(nameOf(repository, tag), parts)
      }
    }
  }

  async #count(changed: NamedTag): Promise<void> {
    const { repository, tag } = changed
    const tallies = this.#options
      .quotasFor(repository)
      .flatMap(({ repositories }) => this.#tallies.get(repositories) ?? [])
    if (tallies.length === 0) return
    const parts = await this.#partsOfTag(changed)
    for (const tally of tallies) tally.set(nameOf(repository, tag), parts)
  }

  /** `undefined` for a tag that is gone. */
  async #partsOfTag({ repository, tag }: NamedTag): Promise<readonly Part[] | undefined> {
    const entry: TagEntry | undefined = await this.#options.names.findTag(repository, tag)
    if (entry === undefined) return undefined
    const { parts, missing } = await this.#partsOf(entry, async () => undefined)
    if (missing.length > 0) this.#bringLater({ repository, tag })
    return parts
  }

  async #partsOf(
    root: { digest: Digest; mediaType: string; size: number },
    known: (digest: Digest) => Promise<Uint8Array | undefined>,
  ) {
    const { store } = this.#options
    const read = async (digest: Digest) => (await known(digest)) ?? (await store.manifests.get(digest))
    return await imagePartsOf(root, { store, read })
  }

  #forget(tally: QuotaTally, repository: Repository, tags: readonly Tag[]): void {
    for (const tag of tags) tally.set(nameOf(repository, tag), undefined)
    this.recount(repository, tags)
  }

  /** A tag whose manifests only others have counts with what its record says until they have told. */
  #bringLater(named: NamedTag): void {
    if (this.#absent.size >= mostAbsent) return
    this.#absent.set(nameOf(named.repository, named.tag), named)
    if (this.#isBringing) return
    this.#isBringing = true
    void this.#bringAbsent()
  }

  async #bringAbsent(): Promise<void> {
    const { names, store, elsewhere } = this.#options
    try {
      for (const [name, { repository, tag }] of this.#absent) {
        this.#absent.delete(name)
        const entry = await names.findTag(repository, tag)
        if (entry === undefined) continue
        const read = async (digest: Digest) =>
          (await store.manifests.get(digest)) ?? (await elsewhere.fetchManifest(repository, digest))
        const { parts } = await imagePartsOf(entry, { store, read })
        if ((await names.findTag(repository, tag))?.digest !== entry.digest) continue
        for (const { repositories } of this.#options.quotasFor(repository))
          this.#tallies.get(repositories)?.set(name, parts)
      }
    } catch (error) {
      // It is counted as it is, and asked for again once its tag changes or the node is started.
      this.#absent.clear()
      logFailure(this.#options.logger, error, 'manifests that a quota counts could not be had')
    } finally {
      this.#isBringing = false
    }
  }
}

/** Counts the parts under these names where the quota lets them; otherwise says why not, and counts nothing. */
function tryOut(
  quota: Quota,
  tally: QuotaTally,
  names: readonly string[],
  parts: readonly Part[],
): OciError | undefined {
  const before = { bytes: tally.bytes, tags: tally.tags }
  const had = names.map((name) => [name, tally.partsOf(name)] as const)
  for (const name of names) tally.set(name, parts)
  const { bytes, tags } = tally
  // What it has too much of already it may go on replacing, but not add to.
  const isTooLarge = quota.bytes !== undefined && bytes > quota.bytes && bytes > before.bytes
  const isTooMany = quota.tags !== undefined && tags > quota.tags && tags > before.tags
  if (!isTooLarge && !isTooMany) return undefined
  for (const [name, parts] of had) tally.set(name, parts)
  return isTooMany ? tooMany(quota, tally, tags - before.tags) : tooLarge(quota, tally, bytes - before.bytes)
}

const remedy = 'delete tags there, or have the policy changed'

function tooLarge({ repositories, bytes = 0 }: Quota, tally: QuotaTally, more: number): OciError {
  return new OciError(
    'QUOTA_EXCEEDED',
    `the policy lets "${repositories}" have ${writeSize(bytes)} in all; its tags name ${tally.bytes} bytes, and this would be ${more} more: ${remedy}`,
  )
}

function tooMany({ repositories, tags = 0 }: Quota, tally: QuotaTally, more: number): OciError {
  return new OciError(
    'QUOTA_EXCEEDED',
    `the policy lets "${repositories}" have ${tags} tags in all; it has ${tally.tags}, and this would be ${more} more: ${remedy}`,
  )
}

const nameOf = (repository: Repository, tag: Tag): string => `${repository}:${tag}`
