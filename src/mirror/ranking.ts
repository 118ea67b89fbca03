/** Whom to ask about an upstream first: every node ranks the members alike, and those last that let it wait in vain. */
import { type Clock, RecentMap } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import { rankMembers } from '../upstream/upstream.ts'
import { type Question, questionName, upstreamName } from './messages.ts'
import type { MirrorPeers } from './mirror.ts'
import type { Reaching } from './reaching.ts'

export interface RankingOptions {
  peers: Pick<MirrorPeers, 'self' | 'reaching'>
  reaching: Pick<Reaching, 'names'>
  /** Whether the upstream is configured here, and what it gives is for everyone. */
  isShared(upstream: string): boolean
  clock: Clock
}

/** Takeover after takeover would make each question cost an upstream as much as the cluster is large. */
const maxAsked = 4
/** So many others before this node, where it reaches the upstream, so that its own answer is there in time. */
const maxBefore = 2
const restMs = 60_000
const maxRemembered = 1_000
/** Of a member that has a blob whole so much is heard by then, however much its uplink has to carry. */
const claimMs = 8_000

export class Ranking {
  readonly #options: RankingOptions
  /** Until when each is asked last, the first to be over first. */
  readonly #resting = new RecentMap<string, number>(maxRemembered)
  /** Of blobs, who said first that it is here whole, and when. */
  readonly #claims = new RecentMap<Digest, { member: string; atMs: number }>(maxRemembered)

  constructor(options: RankingOptions) {
    this.#options = options
  }

  /** A few, in the order in which to ask them; with `isSelfFirst` this node comes before the others if it can ask at all. */
  candidates(question: Question, { isSelfFirst }: { isSelfFirst: boolean }): string[] {
    const { peers, reaching, isShared } = this.#options
    const { self } = peers
    const upstream = upstreamName(question)
    const isReached = reaching.names().includes(upstream)
    const members = peers.reaching(upstream, question.repository)
    const ranked = rankMembers(questionName(question), isReached ? [...members, self] : members)
    const inOrder = ranked.toSorted((a, b) => Number(this.#isResting(a)) - Number(this.#isResting(b)))
    // Where this node does not reach it, it is tried in the end in spite of what it knows: that may have changed.
    const others = inOrder.filter((member) => member !== self)
    if (!isReached && !isShared(upstream)) return others.slice(0, maxAsked)
    const before = others.slice(0, maxAsked - 1)
    const rank = isReached ? Math.min(inOrder.indexOf(self), maxBefore) : before.length
    return before.toSpliced(isSelfFirst ? 0 : rank, 0, self)
  }

  /** The member let this node wait in vain: for a while it is asked when the others have failed. */
  rest(member: string): void {
    if (member === this.#options.peers.self) return
    this.#resting.set(member, this.#options.clock.now() + restMs)
  }

  /** The member says that it has the blob whole. */
  claim(member: string, digest: Digest): void {
    if (!this.#claims.has(digest)) this.#claims.set(digest, { member, atMs: this.#options.clock.now() })
  }

  /** The blob is to be fetched although it was said to be here: true, and the member rests, where it cannot have been so. */
  refute(digest: Digest, idleMs: number | undefined): boolean {
    const claim = this.#claims.get(digest)
    const ageMs = this.#options.clock.now() - (claim?.atMs ?? 0)
    if (claim === undefined || Math.min(ageMs, idleMs ?? ageMs) < claimMs) return false
    this.#claims.delete(digest)
    // It may have gone since.
    if (ageMs > restMs) return false
    this.rest(claim.member)
    return true
  }

  #isResting(member: string): boolean {
    return (this.#resting.get(member) ?? 0) > this.#options.clock.now()
  }
}
