/** What the other members say about what moves: each is asked every two seconds while somebody watches. */
import type { Logger } from '../../../src/base/base.ts'
import type { Activity } from '../../cluster/activity.ts'
import type { MemberFacts } from '../answers/live.ts'
import type { PageMember } from '../page.ts'

export interface Report {
  atMs: number
  activity: Activity
}

export type About = Pick<MemberFacts, 'name' | 'maxUpload'>

/** Members that are asked; in a larger cluster the picture shows no more of them than these. */
const maxAsked = 64
const askTimeoutMs = 1_500
/** A report older than this says nothing of now. */
const staleMs = 6_000
const maxAbouts = 1024

export class Reports {
  readonly #logger: Logger
  readonly #reports = new Map<string, Report>()
  readonly #abouts = new Map<string, About>()
  readonly #asking = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Resolves when everyone has answered or had the time to. */
  async ask(member: Pick<PageMember, 'askActivity'>, peers: string[], now: () => number): Promise<void> {
    await Promise.all(peers.slice(0, maxAsked).map((peer) => this.#askOne(member, peer, now)))
  }

  fresh(nowMs: number): Map<string, Report> {
    for (const [peer, { atMs }] of this.#reports) if (nowMs - atMs > staleMs) this.#reports.delete(peer)
    return this.#reports
  }

  /** What the member said about itself when it was last heard, also of one that is gone. */
  aboutOf(peer: string): About {
    return this.#abouts.get(peer) ?? {}
  }

  async #askOne(member: Pick<PageMember, 'askActivity'>, peer: string, now: () => number): Promise<void> {
    if (this.#asking.has(peer)) return
    this.#asking.add(peer)
    try {
      const activity = await member.askActivity(peer, { signal: AbortSignal.timeout(askTimeoutMs) })
      this.#reports.delete(peer)
      this.#reports.set(peer, { atMs: now(), activity })
      this.#remember(peer, activity)
    } catch (error) {
      // The picture is drawn from what the others say.
      this.#logger.debug({ err: error, peer }, 'a member did not tell what moves')
    } finally {
      this.#asking.delete(peer)
    }
  }

  #remember(peer: string, { name, maxUpload }: Activity): void {
    this.#abouts.delete(peer)
    this.#abouts.set(peer, {
      ...(name === '' ? {} : { name }),
      ...(maxUpload === undefined ? {} : { maxUpload }),
    })
    const [oldest] = this.#abouts.keys()
    if (this.#abouts.size > maxAbouts && oldest !== undefined) this.#abouts.delete(oldest)
  }
}
