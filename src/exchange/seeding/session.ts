/** One downloader as its seeder sees it: what it may ask, what of that is granted, and when it is told what. */
import { type Background, type Clock, Semaphore, TokenBucket } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { MalformedError, parsePeerId } from '../../wire/wire.ts'
import { type Connection, ConnectionOverError } from '../peer/connection.ts'
import type { Seeding } from '../peer/connections.ts'
import type { Faults } from '../peer/faults.ts'
import type { FramePool } from '../peer/frame-pool.ts'
import type { Traffic } from '../peer/traffic.ts'
import type { Upload } from '../picker/upload.ts'
import type { UploadAction, UploadEvent, UploadWant } from '../picker/upload-events.ts'
import { type Answer, type Ask, maxOthers, maxWants } from '../protocol/messages.ts'
import { maxPiecesPerUpdate, type PieceAsk } from '../protocol/piece-messages.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import { rawHeaderBytes } from '../protocol/raw-frames.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Complaints } from './complaints.ts'
import type { Inventory, InventoryItem } from './inventory.ts'
import type { PieceLists } from './piece-lists.ts'
import { type HeldWant, isHeld, SeededWant, type SeededWantContext } from './seeded-want.ts'
import { Sender } from './sender.ts'

/** What the sessions of a node share. */
export interface SessionContext {
  background: Background
  clock: Clock
  inventory: Inventory
  lists: PieceLists
  complaints: Complaints
  faults: Faults
  traffic: Traffic
  pool: FramePool
  budget?: TokenBucket
  /** Since when the peer is known. */
  knownMs(peer: string): number
  /** A peer asks for this blob, and so may soon have some of it. */
  onDownloader(peer: string, digest: Digest): void
  /** Whether the peer has said that it holds the piece: it need not be told who else does. */
  isWith(peer: string, digest: Digest, piece: number): boolean
}

export interface SessionOptions extends SessionContext {
  /** Of this session, unlike any other's. */
  id: string
  connection: Connection
  /** Decides for all sessions what is granted to which. */
  upload: Upload
  /** Live: all of them, by id. */
  sessions: ReadonlyMap<string, Session>
  onListFailed(digest: Digest, error: unknown): void
  onEnd(): void
}

/** Enough for a downloader that asks for every piece by itself over the fastest link. */
const asksPerSecond = 5000
/** Answers that are being found at once; then nothing more of the neighbour is read. */
const maxAnswering = 32
const maxListing = 4
/** News goes with whatever is written, but not oftener than this. */
const soonMs = 100
/** Who waits for nothing from here may be short of something to ask for. */
const hungryMs = 50
/** A downloader that takes nothing for so long is let go. */
const blockedMs = 15_000

export class Session implements Seeding {
  readonly id: string
  readonly sender: Sender
  readonly #options: SessionOptions
  readonly #connection: Connection
  readonly #wants = new Map<number, SeededWant>()
  readonly #asks: TokenBucket
  readonly #forWants: SeededWantContext
  #answering = 0
  #hasNews = false
  #toldMs = 0

  constructor(options: SessionOptions) {
    const { id, connection, complaints, traffic, clock } = options
    this.#options = options
    this.id = id
    this.#connection = connection
    this.#asks = new TokenBucket({
      bytesPerSecond: asksPerSecond,
      burstBytes: 2 * asksPerSecond,
      nowMs: clock.now(),
    })
    this.sender = new Sender({
      ...options,
      want: (wantId) => this.#heldWant(wantId),
      wake: () => connection.wake(),
      bytesPerMs: () => connection.bytesPerMs,
      onSent: (bytes) => traffic.sent(this.peer, bytes - rawHeaderBytes, connection.way),
      onOver: (job) => this.#feed({ type: 'sent', ...this.#nameOf(job), piece: job.piece }),
      onUnreadable: (digest, piece, error) => complaints.unreadable(digest, piece, error),
    })
    this.#forWants = {
      ...options,
      listing: new Semaphore(maxListing),
      following: new Set(),
      sender: this.sender,
      say: (answer) => this.#say(answer),
      hasEnded: () => connection.hasEnded,
      onItem: (want, item) => this.#introduce(want, item),
      onGone: (want) => this.#feed({ type: 'done', ...this.#nameOf(want) }),
      onNews: () => {
        this.#hasNews = true
      },
      onAnswering: (by) => {
        this.#answering += by
      },
    }
  }

  get peer(): string {
    return this.#connection.peer
  }

  get isWanted(): boolean {
    return this.#wants.size > 0
  }

  /** Whether it asks for the blob. */
  wants(digest: Digest): boolean {
    for (const want of this.#wants.values()) if (want.digest === digest) return true
    return false
  }

  take(ask: Ask): Promise<void> | undefined {
    const { complaints, clock } = this.#options
    if (this.#asks.take(1, clock.now()) > 0) throw new MalformedError('endless asks')
    if (ask.type === 'want') return this.#open(ask.id, ask)
    if (ask.type === 'done') {
      this.#close(ask.id)
      return undefined
    }
    const want = this.#wants.get(ask.id)
    if (want === undefined) return undefined
    if (!isHeld(want)) {
      // It was asked before it was known that the blob is gone. Who waits for a list asks for no other.
      if (ask.type === 'ask-list') this.#say({ type: 'no-list', id: want.id })
      return undefined
    }
    check(want, piecesOf(ask))
    if (ask.type === 'bad') complaints.hear(this.peer, want, ask.piece)
    else if (ask.type === 'ask-list') want.list(ask.from ?? 0)
    else this.#asked(want, ask)
    return undefined
  }

  /** Carries out what the upload has decided for this downloader. */
  perform(action: UploadAction): void {
    // Each of its events named one.
    const id = action.want ?? 0
    if (action.type === 'send') this.sender.push(id, action.blob as Digest, action.piece)
    else if (action.type === 'stop') this.sender.stop(id, action.piece)
    else if (this.#heldWant(id) !== undefined) {
      const { retryAfterMs } = action
      if (action.type === 'busy') this.#say({ type: 'busy', id, retryAfterMs })
      else this.#say({ type: 'later', id, pieces: action.pieces, instead: action.instead, retryAfterMs })
    }
  }

  beforeWrite(): void {
    if (this.#hasNews && this.#options.clock.now() - this.#toldMs >= soonMs) this.#tellNews()
  }

  next(): Uint8Array | undefined {
    return this.sender.next()
  }

  written(frame: Uint8Array): void {
    this.#options.pool.give(frame.buffer)
  }

  check(): void {
    const { clock, upload, faults } = this.#options
    const connection = this.#connection
    const isWaiting = upload.isBusyWith(this.id)
    const newsMs = isWaiting ? upload.paceMs : hungryMs
    if (this.#hasNews && clock.now() - this.#toldMs >= newsMs) this.#tellNews()
    const isOwed = isWaiting || !this.sender.isIdle
    // Behind what waits already it would say nothing.
    if (isOwed && !connection.isBehind && connection.silentMs > upload.paceMs) this.#say({ type: 'alive' })
    if (connection.blockedMs <= blockedMs) return
    faults.add(this.peer, 'stalled')
    connection.abort(new ConnectionOverError('the downloader takes nothing'))
  }

  end(): void {
    for (const id of [...this.#wants.keys()]) this.#close(id)
    this.#options.onEnd()
  }

  /** The downloader may hold less of the blob than it said before. */
  retell(digest: Digest): void {
    for (const want of this.#wants.values()) if (want.digest === digest) want.retell()
  }

  #say(answer: Answer): void {
    this.#connection.send(answer)
  }

  /** The want of this id that was told that its blob is here. */
  #heldWant(id: number): HeldWant | undefined {
    const want = this.#wants.get(id)
    return want !== undefined && isHeld(want) ? want : undefined
  }

  /** Answers whether the blob is here, now and after every change. Throws `MALFORMED`. */
  #open(id: number, wanted: Wanted): Promise<void> | undefined {
    if (this.#wants.has(id)) throw new MalformedError(`want ${id} is open already`)
    if (this.#wants.size >= maxWants) throw new MalformedError(`more than ${maxWants} wants`)
    const want = new SeededWant(id, wanted, this.#forWants)
    this.#wants.set(id, want)
    const answered = want.refresh()
    this.#options.onDownloader(this.peer, want.digest)
    return this.#answering < maxAnswering ? undefined : answered
  }

  #close(id: number): void {
    const want = this.#wants.get(id)
    if (want === undefined) return
    this.#wants.delete(id)
    want.close()
  }

  /** Tells of all pieces that came since the last time, and that the downloader lacks. */
  #tellNews(): void {
    this.#hasNews = false
    this.#toldMs = this.#options.clock.now()
    for (const want of this.#wants.values()) {
      const pieces = want.takeNews((piece) => this.#options.isWith(this.peer, want.digest, piece))
      while (pieces.length > 0) {
        const update = { type: 'update', id: want.id, pieces: pieces.splice(0, maxPiecesPerUpdate) } as const
        this.#connection.sendAlong(update)
      }
    }
  }

  /** It is told who else asks for the blob, so that they can ask each other. */
  #introduce(want: SeededWant, item: InventoryItem): void {
    const { upload, sessions } = this.#options
    const peers = new Set<string>()
    for (const other of upload.downloadersOf(want.digest)) {
      const known = sessions.get(other)?.peer
      if (known !== undefined && known !== this.peer && peers.size < maxOthers) peers.add(known)
    }
    this.#want(want, item)
    if (peers.size > 0) this.#say({ type: 'others', id: want.id, peers: [...peers].map(parsePeerId) })
  }

  #asked(want: HeldWant, ask: PieceAsk): void {
    const { pieces } = ask
    if (ask.type === 'got') for (const piece of pieces) this.sender.confirm(want.id, piece)
    else if (ask.type === 'cancel') this.#feed({ type: 'cancel', ...this.#nameOf(want), pieces })
    else {
      // Told again each time: the node may have had too many downloaders when it was told first.
      this.#want(want, want.item)
      this.#feed({ type: 'request', ...this.#nameOf(want), pieces, urgent: ask.urgent === 1 })
    }
  }

  #want(want: SeededWant, { held, isOrigin }: InventoryItem): void {
    const knownMs = this.#options.knownMs(this.peer)
    this.#feed({ type: 'want', ...this.#nameOf(want), held, isOrigin, knownMs })
  }

  #nameOf({ digest, id }: { digest: Digest; id: number }): UploadWant {
    return { downloader: this.id, blob: digest, want: id }
  }

  #feed(event: UploadEvent): void {
    grant(event, this.#options)
  }
}

/** What is granted upon an event may be for any of the sessions. */
export function grant(
  event: UploadEvent,
  { upload, sessions, clock }: Pick<SessionOptions, 'upload' | 'sessions' | 'clock'>,
): void {
  for (const action of upload.handle(event, clock.now())) {
    const session = sessions.get(action.downloader)
    if (session !== undefined) session.perform(action)
    else if (action.type === 'send') grant({ ...action, type: 'sent' }, { upload, sessions, clock })
  }
}

function piecesOf(ask: Ask): readonly number[] {
  if ('pieces' in ask) return ask.pieces
  if ('piece' in ask) return [ask.piece]
  return 'from' in ask && ask.from !== undefined ? [ask.from] : []
}

/** Throws `MALFORMED`. */
function check({ item }: HeldWant, pieces: readonly number[]): void {
  const { count } = layoutOf(item.size)
  const beyond = pieces.find((piece) => piece >= count)
  if (beyond !== undefined) throw new MalformedError(`piece ${beyond} of a blob that has ${count}`)
}
