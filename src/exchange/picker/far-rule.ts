/**
 * Who may ask peers of other sites, so that each piece comes over the narrow link between them about once.
 *
 * What a near peer holds is had from there. Of the rest each piece is asked of far peers by one node of the site (site-order.ts),
 * and the others have it from that one. Nobody is waited for long: when nothing comes from near for longer than is usual, or it
 * comes much slower than from far, this node asks far peers itself, one piece at a time, and whoever near should have had that
 * piece to give is counted on no more. What a peer says of its site or of what it has is worth nothing here: only what came and
 * was right is. After a few disappointments near peers are counted on no more at all.
 */
import type { Site } from './download-events.ts'
import type { DownloadPeer, PieceRequest } from './download-peer.ts'
import { Flight } from './flight.ts'
import type { RequestBook } from './request-book.ts'
import { ServiceMeter } from './service-meter.ts'
import { SiteOrder } from './site-order.ts'

export interface FarRuleOptions {
  site?: Site | undefined
  book: Pick<RequestBook, 'farRequests'>
  /** Live: all that take part. */
  peers: ReadonlyMap<string, DownloadPeer>
  /** Before anything is known of how long it takes. */
  patienceMs: number
  random: () => number
}

/** Pieces that a node asks of far peers at once, for those near it: as many as keep the way busy (flight.ts). */
const requests = { least: 4, most: 64 }
/** Of what is usual from near, and from far. */
const patience = { near: 4, far: 2, leastMs: 500, mostMs: 6000 }
/** After a while, who fetches none for others finds out how long a far piece takes. */
const trialMs = 5000
/** What comes from near is a drip when, after so many, it comes so many times slower than from far. */
const drip = { least: 8, factor: 4 }
const maxDisappointments = 8

export class FarRule {
  readonly #options: FarRuleOptions
  readonly #order: SiteOrder | undefined
  readonly #patienceMs: { factor: number; atFirst: number }
  readonly #near = new ServiceMeter()
  readonly #far = new ServiceMeter()
  readonly #flight = new Flight(requests)
  /** Those that should have had something to give, and did not. */
  readonly #failed = new Set<string>()
  #fellows: readonly string[] = []
  #disappointments = 0
  #fromNear = 0
  #beganMs: number | undefined
  #newsMs = 0

  constructor(options: FarRuleOptions) {
    const { site, patienceMs, random } = options
    this.#options = options
    this.#order = site === undefined ? undefined : new SiteOrder(site)
    // Everyone's patience ends at another moment: the narrow link must not get a crowd.
    this.#patienceMs = { factor: 1 + 3 * random(), atFirst: patienceMs }
  }

  isNear(peer: string): boolean {
    return this.#options.site?.isFar(peer) !== true
  }

  begin(nowMs: number): void {
    if (this.#beganMs !== undefined) return
    this.#beganMs = nowMs
    this.#newsMs = nowMs
  }

  /** Those near that download the blob, too, as far as they are known. */
  fellows(peers: readonly string[]): void {
    this.#fellows = peers
    this.#arrange()
  }

  /** A piece came that was not here, and is right. */
  arrived(request: PieceRequest, nowMs: number): void {
    const { peer, piece } = request
    if (peer.near) {
      this.#near.add(1, nowMs - this.#newsMs)
      this.#newsMs = nowMs
      this.#fromNear++
      if (this.#failed.delete(peer.id)) this.#arrange()
      return
    }
    this.#far.add(1, nowMs - request.atMs)
    this.#flight.begin(nowMs)
    this.#flight.end(request.atMs, nowMs)
    if (this.#isDisappointed(nowMs)) this.#disappointed(piece)
  }

  allows(peer: DownloadPeer, piece: number, nowMs: number): boolean {
    if (peer.near || this.#order === undefined) return true
    if (this.#disappointments >= maxDisappointments) return true
    const { farRequests } = this.#options.book
    if (this.#order.ownerOf(piece) === this.#options.site?.self && !this.#isWithNear(piece)) {
      return this.#order.isAlone || farRequests < this.#flight.size(nowMs)
    }
    return farRequests === 0 && (this.#isTrial(nowMs) || this.#isDisappointed(nowMs))
  }

  #isTrial(nowMs: number): boolean {
    if (this.#far.bytesPerMs !== undefined) return false
    return nowMs - (this.#beganMs ?? nowMs) > trialMs * this.#patienceMs.factor
  }

  /**
   * Whether what was asked of one peer may be asked of another, too. Far ones mostly share one way, on which the second copy would
   * only delay the first.
   */
  allowsInstead(other: DownloadPeer, request: PieceRequest, nowMs: number): boolean {
    const isSameWay = !other.near && !request.peer.near
    if (isSameWay && nowMs - request.atMs < this.#patience()) return false
    return this.allows(other, request.piece, nowMs)
  }

  /** Whether it can be had from near. */
  #isWithNear(piece: number): boolean {
    for (const peer of this.#options.peers.values())
      if (peer.near && !peer.snubbed && peer.held.has(piece) && !this.#failed.has(peer.id)) return true
    return false
  }

  /** Nothing comes from near for longer than it should take, or much less than would from far. */
  #isDisappointed(nowMs: number): boolean {
    const near = this.#near.bytesPerMs
    const far = this.#far.bytesPerMs
    const isDrip =
      this.#fromNear >= drip.least && near !== undefined && far !== undefined && near * drip.factor < far
    return isDrip || nowMs - this.#newsMs > this.#patience()
  }

  #patience(): number {
    const { factor, atFirst } = this.#patienceMs
    const [near, far] = [this.#near.p90Ms, this.#far.p90Ms]
    if (near === undefined && far === undefined) return atFirst * factor
    const usual = Math.max((near ?? 0) * patience.near, (far ?? 0) * patience.far)
    return Math.min(patience.mostMs, Math.max(patience.leastMs, usual)) * factor
  }

  #disappointed(piece: number): void {
    const owner = this.#order?.ownerOf(piece)
    if (owner === undefined) return
    let count = 0
    for (const { id, near, held } of this.#options.peers.values()) {
      if (!near || !held.has(piece)) continue
      this.#failed.add(id)
      count++
    }
    if (count === 0 && owner !== this.#options.site?.self) this.#failed.add(owner)
    this.#disappointments++
    this.#arrange()
  }

  #arrange(): void {
    this.#order?.set(this.#fellows.filter((peer) => !this.#failed.has(peer)))
  }
}
