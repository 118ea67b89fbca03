/** When a piece is late and a peer silent, measured against what it usually takes, and how long a peer's queue is. */
import type { DownloadLimits } from './download-events.ts'
import type { DownloadPeer, PieceRequest } from './download-peer.ts'
import { ServiceMeter } from './service-meter.ts'

/** Assumed before any peer has sent a piece. */
const firstBytesPerMs = 1000
/** A duplicate has to promise this much, or it only burdens the swarm. */
const gain = 2
const gainMs = 50
const smallPieceBytes = 1024 * 1024
/** A peer that says nothing for so many times its usual silence is not waited for, or is given up. */
const silenceFactor = 2
const deathFactor = 4
/** What is usual is believed up to here. */
const mostUsualMs = 4000

export class Lateness {
  readonly #limits: DownloadLimits
  /** Of all peers together, for those that are not known yet. */
  readonly #all = new ServiceMeter()
  readonly #silences = new ServiceMeter()

  constructor(limits: DownloadLimits) {
    this.#limits = limits
  }

  /** A request was answered, or someone else was quicker: it took this long at least. */
  served({ peer, ...request }: PieceRequest, nowMs: number): void {
    const ms = nowMs - Math.max(request.atMs, peer.lastArrivalMs)
    peer.meter.add(request.bytes, ms)
    this.#all.add(request.bytes, ms)
  }

  /** Something came from a peer of which something is asked. */
  heard(peer: DownloadPeer, nowMs: number): void {
    const ms = nowMs - peer.seenMs
    peer.silences.add(1, ms)
    this.#silences.add(1, ms)
  }

  /** Whether the peer has said nothing for so long that it is gone. */
  isDead(peer: DownloadPeer, nowMs: number): boolean {
    return nowMs - peer.seenMs > Math.max(this.#limits.deadMs, this.#usualSilenceMs(peer) * deathFactor)
  }

  /** Whether the peer is late with the oldest of its requests. */
  isLate(peer: DownloadPeer, nowMs: number): boolean {
    const head = peer.head()
    return head !== undefined && this.isLateWith(head, nowMs)
  }

  isLateWith({ peer, atMs }: PieceRequest, nowMs: number): boolean {
    const { firstLateMs, minLateMs, lateFactor } = this.#limits
    const usual = peer.meter.p90Ms ?? this.#all.p90Ms
    const allowed = usual === undefined ? firstLateMs : Math.max(minLateMs, usual * lateFactor)
    return nowMs - Math.max(atMs, peer.lastArrivalMs) > allowed
  }

  /** How long it takes for what was asked of it already, and for `more` bytes. */
  queueMs(peer: DownloadPeer, more = 0): number {
    return (peer.requestedBytes + more) / this.#rate(peer)
  }

  /**
   * Whether the peer says nothing for longer than is usual for it, or for all while it is new: a word behind data on a narrow
   * link takes its time, which must not look like a peer that is gone. With `times`, for so many times as long.
   */
  isSilent(peer: DownloadPeer, nowMs: number, times = 1): boolean {
    const allowedMs = Math.max(this.#limits.silentMs, this.#usualSilenceMs(peer) * silenceFactor)
    return nowMs - peer.seenMs > allowedMs * times
  }

  #usualSilenceMs({ silences }: DownloadPeer): number {
    return Math.min(mostUsualMs, silences.p90Ms ?? this.#silences.p90Ms ?? 0)
  }

  /** Whether one more piece is to be asked of the peer. */
  hasRoom(peer: DownloadPeer, pieceBytes: number, nowMs: number): boolean {
    if (peer.snubbed || peer.busyUntilMs > nowMs) return false
    const { maxPeerBytes, queueMs } = this.#limits
    const least = pieceBytes <= smallPieceBytes ? 2 * pieceBytes : pieceBytes
    const wanted = (peer.meter.bytesPerMs ?? 0) * queueMs
    // A piece more than asked for fits while the queue is shorter than wanted.
    return peer.requestedBytes < Math.max(least, Math.min(maxPeerBytes, wanted)) && !this.isLate(peer, nowMs)
  }

  /** Who would be done first with `more` bytes, the near ones before all others; `undefined` of none. */
  leastLoaded(peers: Iterable<DownloadPeer>, more: number): DownloadPeer | undefined {
    let best: DownloadPeer | undefined
    let least = Number.POSITIVE_INFINITY
    for (const peer of peers) {
      const load = this.queueMs(peer, more) + (peer.near ? 0 : 1e9)
      if (load >= least) continue
      best = peer
      least = load
    }
    return best
  }

  /** The request that `helper`, which is idle, would shorten most; `undefined` when it is not worth the bytes. */
  slowest(
    peers: Iterable<DownloadPeer>,
    helper: DownloadPeer,
    mayHelp: (request: PieceRequest) => boolean,
    nowMs: number,
  ): PieceRequest | undefined {
    let slowest: PieceRequest | undefined
    let longestMs = 0
    for (const peer of peers) {
      if (peer === helper || peer.requests.size === 0) continue
      const msPerByte = 1 / this.#rate(peer)
      // Who is late already will hardly be quicker than that from here on.
      let ms = this.isLate(peer, nowMs) ? nowMs - peer.headSinceMs() : 0
      if (ms + peer.requestedBytes * msPerByte <= Math.max(longestMs, gainMs)) continue
      for (const request of peer.requests.values()) {
        ms += Math.max(0, request.bytes - request.received) * msPerByte
        if (ms <= longestMs || !mayHelp(request)) continue
        slowest = request
        longestMs = ms
      }
    }
    if (slowest === undefined) return undefined
    return longestMs > (slowest.bytes / this.#rate(helper)) * gain + gainMs ? slowest : undefined
  }

  #rate(peer: DownloadPeer): number {
    return peer.meter.bytesPerMs ?? this.#all.bytesPerMs ?? firstBytesPerMs
  }
}
