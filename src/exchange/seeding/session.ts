/** One downloader as its seeder sees it: what it wants, what it was told, and what it has yet to be told and sent. */
import { type Background, type Clock, Semaphore, TokenBucket } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { MalformedError } from '../../wire/wire.ts'
import type { Connection } from '../peer/connection.ts'
import type { Seeding } from '../peer/connections.ts'
import { listPackLimit, packLists } from '../protocol/list-pack.ts'
import { type Answer, type Ask, maxWants } from '../protocol/messages.ts'
import { maxPiecesPerUpdate, type PieceAsk } from '../protocol/piece-messages.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import { listFrames } from '../protocol/raw-frames.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Inventory, InventoryItem, InventoryNews } from './inventory.ts'
import type { PieceLists } from './piece-lists.ts'
import type { Sender } from './sender.ts'

export interface SeededWant extends Wanted {
  readonly id: number
  /** What the downloader was told that is here. */
  item: InventoryItem | undefined
  /** Pieces that it has yet to be told of. */
  news: number[]
  /** It was not told of pieces that it said it holds itself. */
  isCurtailed: boolean
  /** Its answer is being found, and whether that has to be done once more. */
  isAnswering: boolean
  isStale: boolean
  isListing: boolean
  unwatch(): void
}

export type HeldWant = SeededWant & { item: InventoryItem }

export interface SessionOptions {
  /** Of this session, unlike any other's. */
  id: string
  connection: Connection
  background: Background
  clock: Clock
  inventory: Inventory
  lists: PieceLists
  sender: Sender
  /** It asks for this blob, and so may soon have some of it. */
  onWant(session: Session, want: SeededWant): void
  /** And does so no more. */
  onCeased(session: Session, digest: Digest): void
  /** It was told that the blob is here. */
  onItem(session: Session, want: HeldWant): void
  onPieces(session: Session, want: HeldWant, ask: PieceAsk): void
  onBad(session: Session, want: HeldWant, piece: number): void
  /** What was asked by this want means nothing any more. */
  onGone(session: Session, want: SeededWant): void
  onListFailed(digest: Digest, error: unknown): void
  onEnd(session: Session): void
  onCheck(): void
  onWritten(frame: Uint8Array): void
  /** Whether it has said that it holds the piece. */
  isWith(digest: Digest, piece: number): boolean
  /** Whether it waits for pieces from here, and so is short of nothing. */
  isBusy(session: Session): boolean
  /** How long news may wait for more then, and how long it hears nothing. */
  paceMs(): number
}

/** Enough for a downloader that asks for every piece by itself over the fastest link. */
const asksPerSecond = 5000
/** Answers that are being found at once; then nothing more of the neighbour is read. */
const maxAnswering = 32
/** Making a list may take reading the blob. */
const maxListing = 4
/** News goes with whatever is written, but not oftener than this. */
const soonMs = 100
/** Who waits for nothing from here may be short of something to ask for. */
const hungryMs = 50

export class Session implements Seeding {
  readonly id: string
  readonly connection: Connection
  readonly sender: Sender
  readonly #options: SessionOptions
  readonly #wants = new Map<number, SeededWant>()
  readonly #asks: TokenBucket
  readonly #listing = new Semaphore(maxListing)
  #answering = 0
  #hasNews = false
  #toldMs = 0

  constructor(options: SessionOptions) {
    this.#options = options
    this.id = options.id
    this.connection = options.connection
    this.sender = options.sender
    const nowMs = options.clock.now()
    this.#asks = new TokenBucket({ bytesPerSecond: asksPerSecond, burstBytes: 2 * asksPerSecond, nowMs })
  }

  get peer(): string {
    return this.connection.peer
  }

  get isWanted(): boolean {
    return this.#wants.size > 0
  }

  /** Whether it asks for the blob. */
  wants(digest: Digest): boolean {
    for (const want of this.#wants.values()) if (want.digest === digest) return true
    return false
  }

  say(answer: Answer): void {
    this.connection.send(answer)
  }

  take(ask: Ask): Promise<void> | undefined {
    const { onBad, onPieces, clock } = this.#options
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
      if (ask.type === 'ask-list') this.say({ type: 'no-list', id: want.id })
      return undefined
    }
    check(want, piecesOf(ask))
    if (ask.type === 'bad') onBad(this, want, ask.piece)
    else if (ask.type === 'ask-list') this.#list(want, ask.from ?? 0)
    else onPieces(this, want, ask)
    return undefined
  }

  /** The want of this id that was told that its blob is here. */
  want(id: number): HeldWant | undefined {
    const want = this.#wants.get(id)
    return want !== undefined && isHeld(want) ? want : undefined
  }

  beforeWrite(): void {
    if (this.#hasNews && this.#options.clock.now() - this.#toldMs >= soonMs) this.#tellNews()
  }

  next(): Uint8Array | undefined {
    return this.sender.next()
  }

  written(frame: Uint8Array): void {
    this.#options.onWritten(frame)
  }

  check(): void {
    const { clock, isBusy, paceMs, onCheck } = this.#options
    const isWaiting = isBusy(this)
    const newsMs = isWaiting ? paceMs() : hungryMs
    if (this.#hasNews && clock.now() - this.#toldMs >= newsMs) this.#tellNews()
    const isOwed = isWaiting || !this.sender.isIdle
    // Behind what waits already it would say nothing.
    if (isOwed && !this.connection.isBehind && this.connection.silentMs > paceMs())
      this.say({ type: 'alive' })
    onCheck()
  }

  end(): void {
    for (const id of [...this.#wants.keys()]) this.#close(id)
    this.#options.onEnd(this)
  }

  /** The downloader may not hold any more what it was not told of for that: it is told everything again. */
  retell(digest: Digest): void {
    for (const want of this.#wants.values()) {
      if (want.digest === digest && want.isCurtailed) void this.#refresh(want)
    }
  }

  /** Answers whether the blob is here, now and after every change. Throws `MALFORMED`. */
  #open(id: number, { repository, digest }: Wanted): Promise<void> | undefined {
    if (this.#wants.has(id)) throw new MalformedError(`want ${id} is open already`)
    if (this.#wants.size >= maxWants) throw new MalformedError(`more than ${maxWants} wants`)
    const want: SeededWant = {
      id,
      repository,
      digest,
      item: undefined,
      news: [],
      isCurtailed: false,
      isAnswering: false,
      isStale: false,
      isListing: false,
      unwatch: this.#options.inventory.watch(digest, (news) => this.#heard(want, news)),
    }
    this.#wants.set(id, want)
    const answered = this.#refresh(want)
    this.#options.onWant(this, want)
    return this.#answering < maxAnswering ? undefined : answered
  }

  #close(id: number): void {
    const want = this.#wants.get(id)
    if (want === undefined) return
    want.unwatch()
    this.#wants.delete(id)
    if (isHeld(want)) this.#options.onGone(this, want)
    this.#options.onCeased(this, want.digest)
  }

  /** Tells of all pieces that came since the last time, and that the downloader lacks. */
  #tellNews(): void {
    this.#hasNews = false
    this.#toldMs = this.#options.clock.now()
    for (const want of this.#wants.values()) {
      const pieces = want.news.filter((piece) => !this.#options.isWith(want.digest, piece))
      if (pieces.length < want.news.length) want.isCurtailed = true
      want.news = []
      while (pieces.length > 0) {
        const update = { type: 'update', id: want.id, pieces: pieces.splice(0, maxPiecesPerUpdate) } as const
        this.connection.sendAlong(update)
      }
    }
  }

  #refresh(want: SeededWant): Promise<void> {
    want.isStale = true
    if (want.isAnswering) return Promise.resolve()
    const answered = Promise.withResolvers<void>()
    want.isAnswering = true
    this.#answering++
    this.#options.background.start('answer', async () => {
      try {
        while (want.isStale && this.#wants.get(want.id) === want) {
          want.isStale = false
          const item = await this.#options.inventory.find(want)
          if (!want.isStale && this.#wants.get(want.id) === want) this.#tell(want, item)
        }
      } finally {
        want.isAnswering = false
        this.#answering--
        answered.resolve()
      }
    })
    return answered.promise
  }

  #tell(want: SeededWant, item: InventoryItem | undefined): void {
    const { id } = want
    const before = want.item
    if (before?.complete === true && before === item) return
    want.item = item
    want.news = []
    want.isCurtailed = false
    if (!isHeld(want)) {
      this.say({ type: 'absent', id })
      if (before !== undefined) this.#options.onGone(this, want)
      return
    }
    const { size, held, complete } = want.item
    if (complete) this.say({ type: 'complete', id, size })
    else this.say({ type: 'partial', id, size, bitfield: held.toBytes() })
    this.#options.onItem(this, want)
  }

  #heard(want: SeededWant, news: InventoryNews): void {
    const { item } = want
    if (news.type === 'piece') {
      if (item === undefined) return
      want.news.push(news.piece)
      this.#hasNews = true
      return
    }
    if (news.type === 'lost') {
      if (item !== undefined) this.say({ type: 'lost', id: want.id, pieces: [news.piece] })
      return
    }
    // Of what is here whole everything that was asked stays right. Anything else begins anew.
    if (item?.held.complete === false) {
      want.item = undefined
      want.news = []
      this.say({ type: 'absent', id: want.id })
      this.#options.onGone(this, want)
    }
    void this.#refresh(want)
  }

  /** From the piece `from` on, in the background; or `no-list`. */
  #list(want: HeldWant, from: number): void {
    if (want.isListing) return
    const { background, inventory, lists, onListFailed } = this.#options
    const { digest, id } = want
    const { size } = want.item
    const isWanted = (): boolean => this.#wants.get(id) === want && !this.connection.hasEnded
    want.isListing = true
    background.start('list', async (signal) => {
      try {
        await this.#listing.run(async () => {
          if (!isWanted()) return
          const growing = inventory.partialList(digest)
          const signed =
            growing === undefined ? [await lists.get(digest, size)] : lists.growing(growing, from)
          if (signed.length === 0) this.say({ type: 'no-list', id })
          await this.sender.give(listFrames(id, packLists(signed, listPackLimit(size))), isWanted)
        })
      } catch (error) {
        if (signal.aborted) return
        onListFailed(digest, error)
        if (isWanted()) this.say({ type: 'no-list', id })
      } finally {
        want.isListing = false
      }
    })
  }
}

function isHeld(want: SeededWant): want is HeldWant {
  return want.item !== undefined
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
