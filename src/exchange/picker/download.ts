/**
 * The downloader's side of one blob: decides which peer is asked for which piece, and when someone else has to step in.
 *
 * Pure: give it every event with the time, a `wake` at least every `wakeEveryMs`, and carry out the actions it returns, in
 * order. What arrives is always welcome, also when it is not asked for any more. Callers check that what peers name are pieces
 * of the layout. Memory is bounded by peers × pieces.
 */
import { Bitfield } from '../protocol/bitfield.ts'
import {
  type DownloadAction,
  type DownloadEvent,
  type DownloadLimits,
  type DownloadOptions,
  defaultDownloadLimits,
} from './download-events.ts'
import { DownloadPeer } from './download-peer.ts'
import { FarRule } from './far-rule.ts'
import { Lateness } from './lateness.ts'
import { PieceBoard } from './piece-board.ts'
import { type Choice, choosePiece } from './piece-choice.ts'
import { Relief } from './relief.ts'
import { RequestBook } from './request-book.ts'

export class Download {
  readonly #options: DownloadOptions
  readonly #limits: DownloadLimits
  readonly #board: PieceBoard
  readonly #book: RequestBook
  readonly #late: Lateness
  readonly #far: FarRule
  readonly #relief: Relief
  readonly #peers = new Map<string, DownloadPeer>()
  /** The first missing piece of each reader. */
  #heads: number[] = []
  /** A limit kept peers that were ready from being asked. */
  #isHeldBack = false
  #swarm = false

  constructor(options: DownloadOptions) {
    this.#options = options
    this.#limits = { ...defaultDownloadLimits, ...options.limits }
    this.#board = new PieceBoard(options.layout, options.held, options.known)
    if (options.onDemand !== true) this.#board.want('all', 1)
    this.#late = new Lateness(this.#limits)
    const { budget, site, random } = options
    this.#book = new RequestBook(this.#board, { maxBytes: this.#limits.maxBytes, budget })
    const patienceMs = this.#limits.farPatienceMs
    this.#far = new FarRule({ site, book: this.#book, peers: this.#peers, patienceMs, random })
    this.#relief = new Relief({
      board: this.#board,
      book: this.#book,
      late: this.#late,
      far: this.#far,
      peers: this.#peers,
    })
  }

  get complete(): boolean {
    return this.#board.held.complete
  }

  /** Whether all that is wanted is here. */
  get isSated(): boolean {
    return this.#board.isSated
  }

  /**
   * The first piece, from `from` on, that is neither here nor held by any peer that takes part, and that is wanted, or of which no
   * hash is known: those come from the origin in order. `undefined` when there is none.
   */
  firstAbsent(from = 0): number | undefined {
    return this.#board.firstAbsent(from)
  }

  /** What is here. Not a copy: read it only. */
  get held(): Bitfield {
    return this.#board.held
  }

  /** Whether a peer that takes part keeps this node waiting, and how. */
  delayOf(id: string, nowMs: number): 'silent' | 'busy' | undefined {
    const peer = this.#peers.get(id)
    if (peer?.snubbed === true) return 'silent'
    return peer !== undefined && peer.busyUntilMs > nowMs ? 'busy' : undefined
  }

  handle(event: DownloadEvent, nowMs: number): DownloadAction[] {
    this.#far.begin(nowMs)
    let ready: DownloadPeer | undefined
    let isIdle = false
    const { farRequests } = this.#book
    if (event.type === 'peer') this.#join(event, nowMs)
    else if (event.type === 'readers') this.#advance(event.pieces)
    else if (event.type === 'wake') this.#wake(nowMs)
    else if (event.type === 'known') this.#board.learn(event.pieces)
    else if (event.type === 'wanted') this.#board.want(event.pieces, event.by)
    else if (event.type === 'fellows') this.#fellows(event.peers)
    else {
      ready = this.#peers.get(event.peer)
      // A sign of life opens nothing, unless it was waited for.
      isIdle = (event.type === 'alive' || event.type === 'bytes') && ready?.snubbed === false
      if (ready !== undefined) this.#fromPeer(ready, event, nowMs)
      else if (event.type === 'arrived') this.#arrived(undefined, event.piece, nowMs)
    }
    if (event.type === 'known' || event.type === 'wanted' || this.#book.takeReopened()) {
      for (const peer of this.#peers.values()) peer.dry = false
      ready = undefined
    }
    // What was asked of one far peer kept others from being asked.
    if (this.#book.farRequests < farRequests) {
      this.#retryFar()
      ready = undefined
    }
    // What one peer says or sends makes none but itself ready for a request, unless a limit held others back.
    const peers = ready === undefined || this.#isHeldBack ? [...this.#peers.values()] : [ready]
    if (!isIdle && !this.complete) this.#fill(peers, nowMs)
    return this.#book.takeActions()
  }

  #join({ peer: id, held }: DownloadEvent & { type: 'peer' }, nowMs: number): void {
    const known = this.#peers.get(id)
    if (known === undefined && this.#peers.size >= this.#limits.maxPeers) return
    if (!held.complete) this.#swarm = true
    if (known === undefined) {
      const near = this.#far.isNear(id)
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
      case 'later':
        this.#swarm = true
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
    }
  }

  #heard(peer: DownloadPeer, nowMs: number): void {
    if (peer.snubbed || peer.requests.size > 0) this.#late.heard(peer, nowMs)
    peer.seenMs = nowMs
    if (peer.snubbed) this.#trust(peer)
  }

  /** Also after a while without a word: who is asked for nothing has nothing to say. */
  #trust(peer: DownloadPeer): void {
    this.#book.setSnubbed(peer, false)
    peer.dry = false
  }

  #arrived(from: DownloadPeer | undefined, piece: number, nowMs: number): void {
    const request = from?.requests.get(piece)
    if (from !== undefined && request !== undefined) {
      this.#late.served(request, nowMs)
      this.#book.close(request)
      from.lastArrivalMs = nowMs
    }
    if (this.#board.held.has(piece)) return
    if (request !== undefined) this.#far.arrived(request, nowMs)
    for (const other of this.#board.arrive(piece)) {
      if (other === request) continue
      this.#book.close(other)
      this.#book.act({ type: 'cancel', peer: other.peer.id, pieces: [piece] })
      // Someone else had to step in: it took this long at least.
      if (request !== undefined && this.#late.isLateWith(other, nowMs)) this.#late.served(other, nowMs)
    }
    if (this.#heads.includes(piece)) this.#advance(this.#heads)
    for (const peer of this.#peers.values()) peer.deferred.delete(piece)
  }

  #wake(nowMs: number): void {
    for (const peer of [...this.#peers.values()]) {
      this.#book.setNear(peer, this.#far.isNear(peer.id))
      if (peer.requests.size > 0) this.#watch(peer, nowMs)
      else if (peer.snubbed && nowMs - peer.seenMs > this.#limits.deadMs / 2) this.#trust(peer)
      // A time may have run out: of being deferred or busy, or of patience with the near ones.
      if (peer.deferred.size > 0 || peer.busyUntilMs > 0 || !peer.near) peer.dry = false
    }
  }

  #watch(peer: DownloadPeer, nowMs: number): void {
    if (this.#late.isDead(peer, nowMs)) {
      this.#remove(peer)
      this.#book.act({ type: 'drop', peer: peer.id })
      return
    }
    if (this.#late.isSilent(peer, nowMs)) this.#book.setSnubbed(peer, true)
    if (peer.snubbed || this.#late.isLate(peer, nowMs)) this.#relief.hedge(peer, this.#heads, nowMs)
  }

  #fill(peers: readonly DownloadPeer[], nowMs: number): void {
    const { pieceBytes } = this.#board.layout
    const hasRoom = (peer: DownloadPeer): boolean => this.#late.hasRoom(peer, pieceBytes, nowMs)
    const able = peers.filter((peer) => this.#peers.has(peer.id) && hasRoom(peer))
    if (able.length === 0) return
    const ready = new Set(able.filter(({ dry }) => !dry))
    const choice: Choice = {
      swarm: this.#swarm,
      heads: this.#heads,
      nowMs,
      random: this.#options.random,
      allows: (peer, piece) => this.#far.allows(peer, piece, nowMs),
    }
    while (this.#board.open.length > 0 && this.#book.mayAsk(nowMs)) {
      const peer = this.#late.leastLoaded(ready, pieceBytes)
      if (peer === undefined) break
      const piece = choosePiece(this.#board, peer, choice)
      if (piece === undefined) peer.dry = true
      else this.#book.ask(peer, piece, nowMs)
      if (piece === undefined || !hasRoom(peer)) ready.delete(peer)
    }
    this.#isHeldBack = !this.#book.mayAsk(nowMs)
    this.#relief.replace(able, { isPressing: this.#isHeldBack || this.#board.isEnd }, nowMs)
    if (!this.#isHeldBack) this.#relief.relieve(able, nowMs)
    // What was taken from one peer here was given to another.
    this.#book.takeReopened()
  }

  #fellows(peers: readonly string[]): void {
    this.#far.fellows(peers)
    this.#retryFar()
  }

  #retryFar(): void {
    for (const peer of this.#peers.values()) if (!peer.near) peer.dry = false
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

  #remove(peer: DownloadPeer): void {
    this.#peers.delete(peer.id)
    this.#book.forgetAll(peer)
    this.#board.countAll(peer.held, -1)
  }
}
