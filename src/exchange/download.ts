/**
 * The asker's side of one blob: decides which peer is asked for which piece, and when someone else has to step in.
 *
 * Pure: give it every event with the time, a `wake` at least every `wakeEveryMs`, and carry out the actions it returns, in
 * order. What arrives is always welcome, also when it is not asked for any more. Callers check that what peers name are pieces
 * of the layout. Memory is bounded by peers × pieces.
 */
import { Bitfield } from './bitfield.ts'
import {
  type DownloadAction,
  type DownloadEvent,
  type DownloadLimits,
  type DownloadOptions,
  type DropReason,
  defaultDownloadLimits,
} from './download-events.ts'
import { DownloadPeer, type PieceRequest } from './download-peer.ts'
import { FarRule } from './far-rule.ts'
import { Lateness } from './lateness.ts'
import { PieceBoard } from './piece-board.ts'
import { type Choice, choosePiece } from './piece-choice.ts'
import { RequestBook } from './request-book.ts'

const smallPieceBytes = 1024 * 1024
const maxOvertaken = 4
/** A peer that says nothing for so many times its usual silence is not waited for. */
const silenceFactor = 2
const maxBanned = 1024

export class Download {
  readonly #options: DownloadOptions
  readonly #limits: DownloadLimits
  readonly #board: PieceBoard
  readonly #book: RequestBook
  readonly #late: Lateness
  readonly #far: FarRule
  readonly #peers = new Map<string, DownloadPeer>()
  readonly #banned = new Set<string>()
  /** The first missing piece of each reader. */
  #heads: number[] = []
  /** A limit kept peers that were ready from being asked. */
  #isHeldBack = false
  #herd = false

  constructor(options: DownloadOptions) {
    this.#options = options
    this.#limits = { ...defaultDownloadLimits, ...options.limits }
    this.#board = new PieceBoard(options.layout, options.held, options.known)
    this.#late = new Lateness(this.#limits)
    const { budget, fetchesFar, random } = options
    this.#book = new RequestBook(this.#board, { maxBytes: this.#limits.maxBytes, budget })
    this.#far = new FarRule({ fetchesFar, patienceMs: this.#limits.farPatienceMs, random })
  }

  get complete(): boolean {
    return this.#board.held.complete
  }

  /** The first piece, from `from` on, that is neither here nor held by any peer that takes part; `undefined` when there is none. */
  firstAbsent(from = 0): number | undefined {
    for (let piece = from; piece < this.#board.layout.count; piece++) {
      if (!this.#board.held.has(piece) && (this.#board.availability[piece] ?? 0) === 0) return piece
    }
    return undefined
  }

  /** What is here. Not a copy: read it only. */
  get held(): Bitfield {
    return this.#board.held
  }

  /** Whether a peer that takes part keeps this node waiting, and how. */
  delayOf(id: string, nowMs: number): 'silent' | 'busy' | undefined {
    const peer = this.#peers.get(id)
    if (peer?.suspect === true) return 'silent'
    return peer !== undefined && peer.busyUntilMs > nowMs ? 'busy' : undefined
  }

  handle(event: DownloadEvent, nowMs: number): DownloadAction[] {
    this.#far.begin(nowMs)
    let ready: DownloadPeer | undefined
    if (event.type === 'peer') this.#join(event, nowMs)
    else if (event.type === 'readers') this.#advance(event.pieces)
    else if (event.type === 'wake') this.#wake(nowMs)
    else if (event.type === 'dropped') this.#board.drop(event.piece)
    else if (event.type === 'known') this.#board.learn(event.pieces)
    else {
      ready = this.#peers.get(event.peer)
      if (ready !== undefined) this.#fromPeer(ready, event, nowMs)
      else if (event.type === 'arrived') this.#arrived(undefined, event.piece, nowMs)
    }
    if (event.type === 'dropped' || event.type === 'known' || this.#book.takeReopened()) {
      for (const peer of this.#peers.values()) peer.dry = false
      ready = undefined
    }
    // What one peer says or sends makes none but itself ready for a request, unless a limit held others back.
    const peers = ready === undefined || this.#isHeldBack ? [...this.#peers.values()] : [ready]
    if (!this.complete) this.#fill(peers, nowMs)
    return this.#book.takeActions()
  }

  #join({ peer: id, held, near = true }: DownloadEvent & { type: 'peer' }, nowMs: number): void {
    if (this.#banned.has(id)) return
    const known = this.#peers.get(id)
    if (known === undefined && this.#peers.size >= this.#limits.maxPeers) return
    if (!held.complete) this.#herd = true
    if (near) this.#far.news(nowMs)
    if (known === undefined) {
      const peer = new DownloadPeer(id, { near, held: Bitfield.copy(held), nowMs })
      this.#peers.set(id, peer)
    } else {
      this.#board.countAll(known.held, -1)
      known.held = Bitfield.copy(held)
      for (const piece of [...known.requests.keys()]) if (!held.has(piece)) this.#book.forget(known, piece)
      this.#heard(known, nowMs)
      known.dry = false
    }
    this.#board.countAll(held, 1)
  }

  #fromPeer(peer: DownloadPeer, event: DownloadEvent & { peer: string }, nowMs: number): void {
    if (event.type !== 'left') this.#heard(peer, nowMs)
    switch (event.type) {
      case 'left':
        this.#remove(peer)
        break
      case 'has':
        for (const piece of event.pieces) if (peer.held.add(piece)) this.#board.count(piece, 1)
        peer.dry = false
        if (peer.near) this.#far.news(nowMs)
        break
      case 'lost':
        for (const piece of event.pieces) {
          if (peer.held.delete(piece)) this.#board.count(piece, -1)
          this.#book.forget(peer, piece)
        }
        break
      case 'bytes': {
        const request = peer.requests.get(event.piece)
        if (request !== undefined) request.received += event.bytes
        break
      }
      case 'arrived':
        this.#arrived(peer, event.piece, nowMs)
        break
      case 'wrong':
        this.#book.act({ type: 'bad', peer: peer.id, piece: event.piece })
        this.#drop(peer, 'wrong-piece')
        break
      case 'later':
        this.#herd = true
        for (const piece of event.pieces) {
          this.#book.forget(peer, piece)
          peer.defer(piece, nowMs + event.retryAfterMs)
        }
        peer.suggest(event.instead)
        break
      case 'busy':
        this.#book.forgetAll(peer)
        peer.busyUntilMs = nowMs + event.retryAfterMs
        break
      case 'reset':
        this.#book.forgetAll(peer)
        break
    }
  }

  #heard(peer: DownloadPeer, nowMs: number): void {
    if (peer.suspect || peer.requests.size > 0) peer.silences.add(1, nowMs - peer.seenMs)
    peer.seenMs = nowMs
    if (peer.suspect) this.#trust(peer)
  }

  /** Also after a while without a word: who is asked for nothing has nothing to say. */
  #trust(peer: DownloadPeer): void {
    peer.suspect = false
    peer.dry = false
  }

  #arrived(from: DownloadPeer | undefined, piece: number, nowMs: number): void {
    const request = from?.requests.get(piece)
    if (from !== undefined && request !== undefined) {
      this.#late.served(request, nowMs)
      this.#book.close(request)
      from.lastArrivalMs = nowMs
      from.overtaken = 0
    }
    if (this.#board.held.has(piece)) return
    for (const other of this.#board.arrive(piece)) {
      if (other === request) continue
      this.#book.close(other)
      this.#book.act({ type: 'cancel', peer: other.peer.id, pieces: [piece] })
      if (request !== undefined && this.#late.isLateWith(other, nowMs)) this.#overtaken(other, nowMs)
    }
    if (this.#heads.includes(piece)) this.#advance(this.#heads)
    for (const peer of this.#peers.values()) peer.deferred.delete(piece)
  }

  /** Someone else had to step in for this peer. */
  #overtaken(request: PieceRequest, nowMs: number): void {
    const { peer } = request
    this.#late.served(request, nowMs)
    peer.overtaken++
    if (peer.overtaken >= maxOvertaken && this.#isSpare(peer)) this.#drop(peer, 'slow')
  }

  /** Whether what is missing can be had without it. */
  #isSpare(peer: DownloadPeer): boolean {
    const others = [...this.#peers.values()].filter((other) => other !== peer && !other.suspect)
    for (let piece = 0; piece < this.#board.layout.count; piece++) {
      if (this.#board.held.has(piece) || !peer.held.has(piece)) continue
      if (!others.some((other) => other.held.has(piece))) return false
    }
    return true
  }

  #wake(nowMs: number): void {
    for (const peer of [...this.#peers.values()]) {
      if (peer.requests.size > 0) this.#watch(peer, nowMs)
      else if (peer.suspect && nowMs - peer.seenMs > this.#limits.deadMs / 2) this.#trust(peer)
      // A time may have run out: of being deferred or busy, or of patience with the near ones.
      if (peer.deferred.size > 0 || peer.busyUntilMs > 0 || !peer.near) peer.dry = false
    }
  }

  #watch(peer: DownloadPeer, nowMs: number): void {
    const silentMs = nowMs - peer.seenMs
    if (silentMs > this.#limits.deadMs) {
      this.#drop(peer, 'stalled')
      return
    }
    if (silentMs > this.#silenceOf(peer)) {
      peer.suspect = true
      const spare = [...peer.requests.values()].filter(({ piece }) => this.#otherHolder(piece, peer))
      for (const request of spare) this.#book.withdraw(request)
    } else if (this.#late.isLate(peer, nowMs)) this.#hedge(peer, nowMs)
  }

  /** A whole frame over a narrow link takes its time, which must not look like a peer that is gone. */
  #silenceOf({ silences }: DownloadPeer): number {
    const { silentMs, deadMs } = this.#limits
    return Math.min(deadMs / 2, Math.max(silentMs, (silences.p90Ms ?? 0) * silenceFactor))
  }

  /** While there is more to fetch than this node can take, a late piece costs nothing unless a reader waits for it. */
  #hedge(peer: DownloadPeer, nowMs: number): void {
    const { isEnd } = this.#board
    const head = peer.head()?.piece
    const pieces = isEnd && head !== undefined ? [head, ...this.#heads] : this.#heads
    for (const piece of pieces) {
      if (!peer.requests.has(piece) || this.#board.requestsFor(piece).length > 1) continue
      const other = this.#otherHolder(piece, peer)
      if (other !== undefined && other.busyUntilMs <= nowMs) this.#book.ask(other, piece, nowMs)
    }
  }

  /** The least loaded peer that could be asked for the piece instead. */
  #otherHolder(piece: number, peer: DownloadPeer): DownloadPeer | undefined {
    let best: DownloadPeer | undefined
    for (const other of this.#peers.values()) {
      if (other === peer || other.suspect || !other.held.has(piece)) continue
      if (best === undefined || this.#late.queueMs(other) < this.#late.queueMs(best)) best = other
    }
    return best
  }

  #fill(peers: readonly DownloadPeer[], nowMs: number): void {
    const able = peers.filter((peer) => this.#peers.has(peer.id) && this.#hasRoom(peer, nowMs))
    if (able.length === 0) return
    const ready = able.filter(({ dry }) => !dry)
    const choice: Choice = {
      herd: this.#herd,
      heads: this.#heads,
      nowMs,
      random: this.#options.random,
      allows: (peer, piece) => this.#far.allows(peer, piece, this.#book, nowMs),
    }
    while (ready.length > 0 && this.#board.open.length > 0 && this.#book.mayAsk(nowMs)) {
      const at = this.#leastLoaded(ready)
      const peer = ready[at]
      const piece = peer === undefined ? undefined : choosePiece(this.#board, peer, choice)
      if (peer !== undefined && piece !== undefined) this.#book.ask(peer, piece, nowMs)
      if (peer !== undefined && piece === undefined) peer.dry = true
      if (peer === undefined || piece === undefined || !this.#hasRoom(peer, nowMs)) ready.splice(at, 1)
    }
    this.#isHeldBack = !this.#book.mayAsk(nowMs)
    if (!this.#isHeldBack) this.#relieve(able, nowMs)
    // What was taken from one peer here was given to another.
    this.#book.takeReopened()
  }

  /** An idle peer may be quicker with what lies at the end of another's queue. */
  #relieve(peers: readonly DownloadPeer[], nowMs: number): void {
    for (const peer of peers) {
      if (peer.requests.size > 0) continue
      const mayHelp = (piece: number): boolean =>
        this.#board.requestsFor(piece).length === 1 &&
        !peer.isDeferred(piece, nowMs) &&
        this.#far.allows(peer, piece, this.#book, nowMs)
      const request = this.#late.slowest(this.#peers.values(), peer, mayHelp, nowMs)
      if (request === undefined) continue
      // At the end both may try: bytes are cheap then, and time is not.
      if (!this.#board.isEnd) {
        if (request.received > 0) continue
        this.#book.withdraw(request)
      }
      this.#book.ask(peer, request.piece, nowMs)
    }
  }

  #advance(readers: readonly number[]): void {
    const { held, layout } = this.#board
    const heads = new Set<number>()
    for (let head of readers) {
      while (head < layout.count && held.has(head)) head++
      if (head < layout.count) heads.add(head)
    }
    this.#heads = [...heads]
  }

  #leastLoaded(peers: readonly DownloadPeer[]): number {
    let best = 0
    let least = Number.POSITIVE_INFINITY
    for (const [at, peer] of peers.entries()) {
      const load = this.#late.queueMs(peer, this.#options.layout.pieceBytes) + (peer.near ? 0 : 1e9)
      if (load >= least) continue
      best = at
      least = load
    }
    return best
  }

  #hasRoom(peer: DownloadPeer, nowMs: number): boolean {
    if (peer.suspect || peer.busyUntilMs > nowMs) return false
    const { pieceBytes } = this.#options.layout
    const { maxPeerBytes, queueMs } = this.#limits
    const least = pieceBytes <= smallPieceBytes ? 2 * pieceBytes : pieceBytes
    const wanted = (peer.meter.bytesPerMs ?? 0) * queueMs
    // A piece more than asked for fits while the queue is shorter than wanted.
    return (
      peer.requestedBytes < Math.max(least, Math.min(maxPeerBytes, wanted)) && !this.#late.isLate(peer, nowMs)
    )
  }

  #drop(peer: DownloadPeer, reason: DropReason): void {
    const [oldest] = this.#banned
    if (this.#banned.size >= maxBanned && oldest !== undefined) this.#banned.delete(oldest)
    if (reason === 'wrong-piece') this.#banned.add(peer.id)
    this.#remove(peer)
    this.#book.act({ type: 'drop', peer: peer.id, reason })
  }

  #remove(peer: DownloadPeer): void {
    this.#peers.delete(peer.id)
    this.#book.forgetAll(peer)
    this.#board.countAll(peer.held, -1)
  }
}
