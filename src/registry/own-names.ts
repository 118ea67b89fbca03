/** Which repositories are the cluster's own although a member claims to mirror them: those to which something was pushed. */
import type { Clock } from '../base/base.ts'
import { type MirrorWord, type Repository, upstreamOf } from '../oci/oci.ts'
import type { ChangedKey, Names } from '../records/records.ts'
import type { Mirror } from './mirror.ts'

interface OwnNamesOptions {
  names: Pick<Names, 'hasPushedTag' | 'hasRepository' | 'findTag' | 'tagsOf'>
  mirror: Pick<Mirror, 'wordFor'>
  clock: Clock
}

type TagOrManifest = Extract<ChangedKey, { repository: Repository }>

/** More than a node serves at once. */
const maxRemembered = 10_000
/** A push takes its time until there is a tag that shows it. */
const pushingMs = 10 * 60_000

export class OwnNames {
  readonly #options: OwnNamesOptions
  /** Whether a tag was pushed to it. */
  readonly #pushed = new Map<Repository, Promise<boolean>>()
  /** When a push to it last went on here, the longest ago first. */
  readonly #pushing = new Map<Repository, number>()

  constructor(options: OwnNamesOptions) {
    this.#options = options
  }

  /** A client pushes to it at this node. */
  notePush(repository: Repository): void {
    this.#pushing.delete(repository)
    keepWithin(this.#pushing).set(repository, this.#options.clock.now())
  }

  /** Its records have changed. All of its tags are looked at again only where what showed a push may be gone. */
  learn(changes: ChangedKey[]): void {
    for (const change of changes) {
      if (!('repository' in change)) continue
      const known = this.#pushed.get(change.repository)
      if (known !== undefined) void this.#remember(change.repository, this.#next(known, change))
    }
  }

  async #next(known: Promise<boolean>, change: TagOrManifest): Promise<boolean> {
    const { names } = this.#options
    const { repository } = change
    const wasPushed = await known
    if (!wasPushed) return !change.deleted && (await this.#showsPush(change))
    if (change.kind === 'manifest' && !change.deleted) return true
    return (!change.deleted && (await this.#showsPush(change))) || (await names.hasPushedTag(repository))
  }

  async #showsPush(change: TagOrManifest): Promise<boolean> {
    const { names } = this.#options
    const { repository } = change
    const tags = change.kind === 'tag' ? [change.tag] : await names.tagsOf(repository, change.digest)
    for (const tag of tags) {
      const entry = await names.findTag(repository, tag)
      if (entry !== undefined && entry.checkedMs === undefined) return true
    }
    return false
  }

  /** Whether an upstream is asked for what the repository does not have here. */
  async isMirrored(repository: Repository): Promise<boolean> {
    return this.#wordFor(repository) !== undefined && !(await this.isOwn(repository))
  }

  /** Whether it is the cluster's in spite of what a member claims. */
  async isOwn(repository: Repository): Promise<boolean> {
    return this.#wordFor(repository) === 'claim' && (this.isPushing(repository) || this.#isPushed(repository))
  }

  isPushing(repository: Repository): boolean {
    const atMs = this.#pushing.get(repository)
    return atMs !== undefined && this.#options.clock.now() - atMs < pushingMs
  }

  /**
   * Whether the size of a blob that no member holds is asked for outside. A push asks for each of its layers, and a pull has
   * brought the manifest before: on a claim alone nobody waits for an upstream where there is none yet.
   */
  async mayBeOutside(repository: Repository): Promise<boolean> {
    const word = this.#wordFor(repository)
    if (word !== 'claim') return word !== undefined
    return (await this.#options.names.hasRepository(repository)) && !(await this.isOwn(repository))
  }

  #wordFor(repository: Repository): MirrorWord | undefined {
    const upstream = upstreamOf(repository)
    return upstream === undefined ? undefined : this.#options.mirror.wordFor(upstream, repository)
  }

  #isPushed(repository: Repository): Promise<boolean> {
    const known = this.#pushed.get(repository)
    if (known !== undefined) return known
    return this.#remember(repository, this.#options.names.hasPushedTag(repository))
  }

  #remember(repository: Repository, looking: Promise<boolean>): Promise<boolean> {
    keepWithin(this.#pushed).set(repository, looking)
    looking.catch(() => {
      if (this.#pushed.get(repository) === looking) this.#pushed.delete(repository)
    })
    return looking
  }
}

/** The same, with room for one more. */
function keepWithin<T>(remembered: Map<Repository, T>): Map<Repository, T> {
  const [oldest] = remembered.keys()
  if (remembered.size >= maxRemembered && oldest !== undefined) remembered.delete(oldest)
  return remembered
}
