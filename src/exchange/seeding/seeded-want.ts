/** One blob that a downloader wants from here: what it was told of it, is told with every change, and has yet to be told. */
import type { Background, Semaphore } from '../../base/base.ts'
import type { Digest, Repository } from '../../oci/oci.ts'
import { listPackLimit, packLists } from '../protocol/list-pack.ts'
import type { Answer } from '../protocol/messages.ts'
import type { SignedPieceList } from '../protocol/piece-list.ts'
import { listFrames } from '../protocol/raw-frames.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Inventory, InventoryItem, InventoryNews } from './inventory.ts'
import type { ListMaking } from './list-making.ts'
import type { PieceLists } from './piece-lists.ts'
import type { Sender } from './sender.ts'

/** What all wants of a downloader share. */
export interface SeededWantContext {
  background: Background
  inventory: Inventory
  lists: PieceLists
  /** Making a list may take reading the blob: so many are waited for at once. */
  listing: Semaphore
  /** Those that are being made for the downloader. */
  following: Set<ListMaking>
  sender: Sender
  say(answer: Answer): void
  /** Nothing reaches the downloader any more. */
  hasEnded(): boolean
  /** It was told that this is here. */
  onItem(want: SeededWant, item: InventoryItem): void
  /** What was asked by this want means nothing any more. */
  onGone(want: SeededWant): void
  /** There is something to take from its `takeNews`. */
  onNews(): void
  /** Its answer is being found, or was. */
  onAnswering(by: 1 | -1): void
  onListFailed(digest: Digest, error: unknown): void
}

/** More large blobs than anyone fetches at once. */
const maxFollowing = 16

export class SeededWant implements Wanted {
  readonly id: number
  readonly repository: Repository
  readonly digest: Digest
  /** What the downloader was told that is here. */
  item: InventoryItem | undefined
  readonly #context: SeededWantContext
  readonly #unwatch: () => void
  /** Pieces that it has yet to be told of. */
  #news: number[] = []
  /** It was not told of pieces that it said it holds itself. */
  #isCurtailed = false
  /** Its answer is being found, and whether that has to be done once more. */
  #isAnswering = false
  #isStale = false
  #isListing = false
  #making: ListMaking | undefined
  #isClosed = false

  constructor(id: number, { repository, digest }: Wanted, context: SeededWantContext) {
    this.id = id
    this.repository = repository
    this.digest = digest
    this.#context = context
    this.#unwatch = context.inventory.watch(digest, (news) => this.#heard(news))
  }

  close(): void {
    this.#isClosed = true
    this.#unwatch()
    this.#unfollow()
    if (this.item !== undefined) this.#context.onGone(this)
  }

  /** Finds out what is here, and tells it. */
  refresh(): Promise<void> {
    this.#isStale = true
    if (this.#isAnswering) return Promise.resolve()
    const { background, inventory, onAnswering } = this.#context
    const answered = Promise.withResolvers<void>()
    this.#isAnswering = true
    onAnswering(1)
    background.start('answer', async () => {
      try {
        while (this.#isStale && !this.#isOver) {
          this.#isStale = false
          const item = await inventory.find(this)
          if (!this.#isStale && !this.#isOver) this.#tell(item)
        }
      } finally {
        this.#isAnswering = false
        onAnswering(-1)
        answered.resolve()
      }
    })
    return answered.promise
  }

  /** Pieces that came since the last time, but for those that the downloader has. */
  takeNews(isWith: (piece: number) => boolean): number[] {
    const pieces = this.#news.filter((piece) => !isWith(piece))
    if (pieces.length < this.#news.length) this.#isCurtailed = true
    this.#news = []
    return pieces
  }

  /** The downloader may not hold any more what it was not told of for that: it is told everything again. */
  retell(): void {
    if (this.#isCurtailed) void this.refresh()
  }

  /** Sends the lists of the piece `from` and those behind it, in the background; or `no-list`. */
  list(from: number): void {
    const { id, digest, item } = this
    if (this.#isListing || item === undefined) return
    const { background, inventory, lists, listing, sender, say, onListFailed } = this.#context
    const { size } = item
    this.#isListing = true
    background.start('list', async (signal) => {
      try {
        await listing.run(async () => {
          if (this.#isOver) return
          const growing = inventory.partialList(digest)
          const signed =
            growing === undefined ? await this.#listsOf(size, from) : lists.growing(growing, from)
          if (signed.length === 0) say({ type: 'no-list', id })
          await sender.give(listFrames(id, packLists(signed, listPackLimit(size))), () => !this.#isOver)
        })
      } catch (error) {
        if (signal.aborted) return
        this.#unfollow()
        onListFailed(digest, error)
        if (!this.#isOver) say({ type: 'no-list', id })
      } finally {
        this.#isListing = false
      }
    })
  }

  /** Of what is here whole. None where so many others are made already. */
  async #listsOf(size: number, from: number): Promise<SignedPieceList[]> {
    const { lists, following } = this.#context
    if (this.#making === undefined && following.size >= maxFollowing) return []
    this.#making ??= lists.follow(this.digest, size)
    following.add(this.#making)
    const list = await lists.listFrom(this.#making, from)
    if (list.after === undefined) this.#unfollow()
    return [list]
  }

  #unfollow(): void {
    this.#making?.leave()
    if (this.#making !== undefined) this.#context.following.delete(this.#making)
    this.#making = undefined
  }

  get #isOver(): boolean {
    return this.#isClosed || this.#context.hasEnded()
  }

  #tell(item: InventoryItem | undefined): void {
    const { id, item: before } = this
    const { say, onItem } = this.#context
    if (before?.complete === true && before === item) return
    this.#isCurtailed = false
    if (item === undefined) {
      this.#absent()
      return
    }
    this.item = item
    this.#news = []
    const { size, held, complete } = item
    if (complete) say({ type: 'complete', id, size })
    else say({ type: 'partial', id, size, bitfield: held.toBytes() })
    onItem(this, item)
  }

  #heard(news: InventoryNews): void {
    const { id, item } = this
    if (news.type === 'piece') {
      if (item === undefined) return
      this.#news.push(news.piece)
      this.#context.onNews()
    } else if (news.type === 'lost') {
      if (item !== undefined) this.#context.say({ type: 'lost', id, pieces: [news.piece] })
    } else {
      // Of what is here whole everything that was asked stays right. Anything else begins anew.
      if (item?.held.complete === false) this.#absent()
      void this.refresh()
    }
  }

  #absent(): void {
    const wasHeld = this.item !== undefined
    this.item = undefined
    this.#news = []
    this.#unfollow()
    this.#context.say({ type: 'absent', id: this.id })
    if (wasHeld) this.#context.onGone(this)
  }
}

export type HeldWant = SeededWant & { item: InventoryItem }

/** Whether the downloader was told that the blob is here. */
export function isHeld(want: SeededWant): want is HeldWant {
  return want.item !== undefined
}
