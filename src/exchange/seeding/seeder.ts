/** What this node gives to others: answers downloaders, sends what the fairness among them grants, and looks again at what they call wrong. */
import { type Background, type Clock, type Logger, LogLimit, type TokenBucket } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { parsePeerId } from '../../wire/wire.ts'
import { type Connection, ConnectionOverError } from '../peer/connection.ts'
import type { Faults } from '../peer/faults.ts'
import type { FramePool } from '../peer/frame-pool.ts'
import type { Traffic } from '../peer/traffic.ts'
import { Upload } from '../picker/upload.ts'
import type { UploadAction, UploadEvent, UploadLimits, UploadWant } from '../picker/upload-events.ts'
import { maxOthers } from '../protocol/messages.ts'
import type { PieceAsk } from '../protocol/piece-messages.ts'
import { rawHeaderBytes } from '../protocol/raw-frames.ts'
import type { Complaints } from './complaints.ts'
import type { Inventory, InventoryItem } from './inventory.ts'
import type { PieceLists } from './piece-lists.ts'
import { Sender } from './sender.ts'
import { type HeldWant, Session } from './session.ts'

export interface SeederOptions {
  background: Background
  inventory: Inventory
  lists: PieceLists
  complaints: Complaints
  faults: Faults
  traffic: Traffic
  pool: FramePool
  limits: Partial<UploadLimits>
  budget?: TokenBucket
  /** Since when the peer is known. */
  knownMs(peer: string): number
  /** A peer asks for this blob, and so may soon have some of it. */
  onDownloader(peer: string, digest: Digest): void
  /** And does so no more. */
  onCeased(digest: Digest): void
  /** Whether the peer has said that it holds the piece: it need not be told who else does. */
  isWith(peer: string, digest: Digest, piece: number): boolean
  clock: Clock
  logger: Logger
}

/** A downloader that takes nothing for so long is let go. */
const blockedMs = 15_000

export class Seeder {
  readonly #options: SeederOptions
  readonly #upload: Upload
  readonly #sessions = new Map<string, Session>()
  /** Whoever asks may ask again and again. */
  readonly #failures: LogLimit
  #opened = 0

  constructor(options: SeederOptions) {
    this.#options = options
    this.#upload = new Upload(options.limits)
    this.#failures = new LogLimit({ clock: options.clock, everyMs: 60_000 })
  }

  /** Serves the neighbour as long as the connection lasts. */
  open(connection: Connection): Session {
    const { peer } = connection
    const { clock, inventory, background, budget, traffic, complaints, logger, pool } = this.#options
    const id = `${peer}/${this.#opened++}`
    const sender = new Sender({
      inventory,
      pool,
      clock,
      budget,
      want: (wantId) => session.want(wantId),
      wake: () => connection.wake(),
      bytesPerMs: () => connection.bytesPerMs,
      onSent: (bytes) => traffic.sent(peer, bytes - rawHeaderBytes, connection.way),
      onOver: (job) =>
        this.#feed({ type: 'sent', downloader: id, blob: job.digest, want: job.id, piece: job.piece }),
      onUnreadable: (digest, piece, error) => complaints.unreadable(digest, piece, error),
    })
    const session: Session = new Session({
      ...this.#options,
      id,
      connection,
      sender,
      onWant: (_, { digest }) => this.#options.onDownloader(peer, digest),
      onCeased: (_, digest) => this.#options.onCeased(digest),
      onItem: (_, want) => this.#introduce(session, want),
      onPieces: (_, want, ask) => this.#asked(session, want, ask),
      onBad: (_, want, piece) => complaints.hear(peer, want, piece),
      onGone: (_, want) => this.#feed({ type: 'done', downloader: id, blob: want.digest, want: want.id }),
      onListFailed: (digest, error) =>
        this.#failures.line(digest, (unsaid) =>
          logger.warn({ err: error, digest, unsaid }, 'a piece list could not be given'),
        ),
      onCheck: () => this.#check(session),
      onEnd: () => {
        this.#sessions.delete(id)
        if (this.#sessions.size === 0) pool.clear()
        this.#feed({ type: 'left', downloader: id })
      },
      onWritten: (frame) => pool.give(frame.buffer),
      isWith: (digest, piece) => this.#options.isWith(peer, digest, piece),
      isBusy: () => this.#upload.isBusyWith(id),
      paceMs: () => this.#upload.paceMs,
    })
    this.#sessions.set(id, session)
    background.start('sender', async () => await sender.run(connection.signal))
    return session
  }

  /** Who asks for the blob. */
  downloadersOf(digest: Digest): string[] {
    return [...this.#sessions.values()].filter((session) => session.wants(digest)).map(({ peer }) => peer)
  }

  /** To be called every now and then. */
  tick(): void {
    this.#feed({ type: 'wake' })
  }

  /** What the peer was not told of the blob, as it had it, it may lack now. */
  retell(peer: string, digest: Digest): void {
    for (const session of this.#sessions.values()) if (session.peer === peer) session.retell(digest)
  }

  #introduce(session: Session, { id, digest, item }: HeldWant): void {
    const peers = new Set<string>()
    for (const other of this.#upload.downloadersOf(digest)) {
      const known = this.#sessions.get(other)?.peer
      if (known !== undefined && known !== session.peer && peers.size < maxOthers) peers.add(known)
    }
    this.#want({ downloader: session.id, blob: digest, want: id }, session, item)
    if (peers.size > 0) session.say({ type: 'others', id, peers: [...peers].map(parsePeerId) })
  }

  #asked(session: Session, { id, digest, item }: HeldWant, ask: PieceAsk): void {
    const { sender } = session
    const asked = { downloader: session.id, blob: digest, want: id }
    const { pieces } = ask
    if (ask.type === 'got') for (const piece of pieces) sender.confirm(id, piece)
    else if (ask.type === 'cancel') this.#feed({ type: 'cancel', ...asked, pieces })
    else if (ask.type === 'request') {
      // Told again each time: the node may have had too many downloaders when it was told first.
      this.#want(asked, session, item)
      this.#feed({ type: 'request', ...asked, pieces, urgent: ask.urgent === 1 })
    }
  }

  #want(asked: UploadWant, { peer }: Session, { held, isOrigin }: InventoryItem): void {
    this.#feed({ type: 'want', ...asked, held, isOrigin, knownMs: this.#options.knownMs(peer) })
  }

  #feed(event: UploadEvent): void {
    for (const action of this.#upload.handle(event, this.#options.clock.now())) this.#perform(action)
  }

  #perform(action: UploadAction): void {
    const session = this.#sessions.get(action.downloader)
    // Each of its events named one.
    const id = action.want ?? 0
    if (action.type === 'send') {
      if (session === undefined) this.#feed({ ...action, type: 'sent' })
      else session.sender.push(id, action.blob as Digest, action.piece)
      return
    }
    if (action.type === 'stop') {
      session?.sender.stop(id, action.piece)
      return
    }
    if (session?.want(id) === undefined) return
    const { retryAfterMs } = action
    if (action.type === 'busy') session?.say({ type: 'busy', id, retryAfterMs })
    else {
      const { pieces, instead } = action
      session?.say({ type: 'later', id, pieces, instead, retryAfterMs })
    }
  }

  #check({ connection, peer }: Session): void {
    if (connection.blockedMs > blockedMs) {
      this.#options.faults.add(peer, 'stalled')
      connection.abort(new ConnectionOverError('the downloader takes nothing'))
    }
  }
}
