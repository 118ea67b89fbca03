/** Which node of a site holds which image of a shared keep rule: all of them know, without a word about any image. */
import type { Clock } from '../src/base/base.ts'
import type { Digest } from '../src/oci/oci.ts'
import { type KeepRule, KeepRuleError } from '../src/placement/placement.ts'
import type { Members } from '../src/swarm/swarm.ts'
import { rankMembers } from '../src/upstream/rank.ts'

/** A member that restarts is back by then; what it holds need not be fetched by another meanwhile. */
const leaveMs = 30_000
/** Those who join come close together, and each tells what it keeps just after it has joined. */
const joinMs = 2_000

export interface Sharing {
  self: string
  /** Absent: there is nobody to share with. */
  site: string | undefined
  members: Pick<Members, 'keeping'>
}

/** Whether this node is the one that holds an image of a shared rule, as things stand. */
export function isHolder({ self, site, members }: Sharing, rule: KeepRule, digest: Digest): boolean {
  if (site === undefined) return true
  const [holder] = rankMembers(digest, [self, ...members.keeping(keepName(site, rule))])
  return holder === self
}

/** What this node tells the others that it holds a share of. */
export function keepNames(site: string | undefined, rules: readonly KeepRule[]): string[] {
  if (site === undefined) return []
  return rules.filter(({ isShared }) => isShared).map((rule) => keepName(site, rule))
}

/** Throws KeepRuleError. */
export function checkSite(site: string | undefined, { isShared = false }: { isShared?: boolean }): void {
  if (isShared && site === undefined)
    throw new KeepRuleError(
      'this node belongs to no site, so there is nobody to share with; start it with --site NAME',
    )
}

export interface SiteSharesOptions extends Sharing {
  members: Pick<Members, 'keeping' | 'onChange'>
  clock: Clock
}

/** The shares as they were when members had last come or gone for good. Until it has seen some, this node holds none. */
export class SiteShares implements AsyncDisposable {
  readonly #options: SiteSharesOptions
  readonly #stopping = new AbortController()
  readonly #listeners = new Set<() => void>()
  readonly #waiting = new Set<Promise<void>>()
  readonly #unsubscribe: () => void
  #isSettled = false
  #change = 0

  constructor(options: SiteSharesOptions) {
    this.#options = options
    this.#unsubscribe = options.members.onChange(({ kind }) =>
      this.#settle(kind === 'join' ? joinMs : leaveMs),
    )
    this.#settle(leaveMs)
  }

  isOurs(rule: KeepRule, digest: Digest): boolean {
    return this.#isSettled && isHolder(this.#options, rule, digest)
  }

  /** Calls `listener` when shares may have changed. Returns the unsubscriber. */
  onShares(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unsubscribe()
    this.#stopping.abort(new Error('the node stops'))
    await Promise.all(this.#waiting)
  }

  #settle(ms: number): void {
    if (this.#options.site === undefined) return
    const change = ++this.#change
    const wait = async (): Promise<void> => {
      const { signal } = this.#stopping
      try {
        await this.#options.clock.sleep(ms, { signal })
      } catch (error) {
        if (!signal.aborted) throw error
      }
      // Whoever came or went later is waited for as well.
      if (signal.aborted || change !== this.#change) return
      this.#isSettled = true
      for (const listener of this.#listeners) listener()
    }
    const waiting = wait().finally(() => this.#waiting.delete(waiting))
    this.#waiting.add(waiting)
  }
}

function keepName(site: string, { id }: KeepRule): string {
  return `${site}/${id}`
}
