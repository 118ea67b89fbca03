/** One asker's channel as its holder sees it: what the asker wants, what it was told, and what it has yet to be told. */
import { type Background, type Clock, TokenBucket } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import { type Channel, MalformedError } from '../../wire/wire.ts'
import { Outbox } from '../peer/outbox.ts'
import { type Answer, encodeAnswer, maxPiecesPerUpdate, maxWants } from '../protocol/messages.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Holding, HoldingNews, Holdings } from './holdings.ts'

export interface ServedWant extends Wanted {
  readonly id: number
  /** What the asker was told that is here. */
  holding: Holding | undefined
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

export interface AskerSessionOptions {
  /** Of this channel, unlike any other's. */
  asker: string
  peer: string
  channel: Channel
  clock: Clock
  holdings: Holdings
  background: Background
  /** The asker was told that the blob is here. */
  onHolding(session: AskerSession, want: ServedWant, holding: Holding): void
  /** What was asked of this blob means nothing any more. */
  onGone(session: AskerSession, digest: Digest): void
  /** Whether the asker has said that it holds the piece. */
  isWith(digest: Digest, piece: number): boolean
  /** There are pieces to be told of, some time soon. */
  onNews(session: AskerSession): void
}

/** Enough for an asker that asks for every piece by itself over the fastest link. */
const asksPerSecond = 5000

export class AskerSession {
  readonly asker: string
  readonly peer: string
  readonly channel: Channel
  readonly outbox: Outbox
  readonly #options: AskerSessionOptions
  readonly #wants = new Map<number, ServedWant>()
  readonly #askedBy = new Map<Digest, number>()
  readonly #asks: TokenBucket
  #spokeMs: number

  constructor(options: AskerSessionOptions) {
    const nowMs = options.clock.now()
    this.#options = options
    this.asker = options.asker
    this.peer = options.peer
    this.channel = options.channel
    this.outbox = new Outbox(options.channel)
    this.#asks = new TokenBucket({ bytesPerSecond: asksPerSecond, burstBytes: 2 * asksPerSecond, nowMs })
    this.#spokeMs = nowMs
  }

  say(answer: Answer): void {
    this.spoke()
    this.outbox.push(encodeAnswer(answer))
  }

  /** Something was sent. */
  spoke(): void {
    this.#spokeMs = this.#options.clock.now()
  }

  get silentMs(): number {
    return this.#options.clock.now() - this.#spokeMs
  }

  /** Throws `MALFORMED` when asks come faster than anyone needs them answered. */
  countAsk(): void {
    if (this.#asks.take(1, this.#options.clock.now()) > 0) throw new MalformedError('endless asks')
  }

  find(id: number): ServedWant | undefined {
    return this.#wants.get(id)
  }

  /** Pieces were asked for by this want, and are sent to it. */
  asked({ id, digest }: ServedWant): void {
    this.#askedBy.set(digest, id)
  }

  /** The want of the blob that asked for pieces last, or any other that was told that it is here. */
  holderOf(digest: Digest): ServedWant | undefined {
    const asking = this.#wants.get(this.#askedBy.get(digest) ?? -1)
    if (asking?.holding !== undefined) return asking
    for (const want of this.#wants.values()) {
      if (want.digest === digest && want.holding !== undefined) return want
    }
    return undefined
  }

  /** Answers whether the blob is here, now and after every change. Throws `MALFORMED`. */
  async open(id: number, { repository, digest }: Wanted): Promise<void> {
    if (this.#wants.has(id)) throw new MalformedError(`want ${id} is open already`)
    if (this.#wants.size >= maxWants) throw new MalformedError(`more than ${maxWants} wants`)
    const want: ServedWant = {
      id,
      repository,
      digest,
      holding: undefined,
      news: [],
      isCurtailed: false,
      isAnswering: false,
      isStale: false,
      isListing: false,
      unwatch: this.#options.holdings.watch(digest, (news) => this.#heard(want, news)),
    }
    this.#wants.set(id, want)
    await this.#answer(want)
  }

  close(id: number): void {
    const want = this.#wants.get(id)
    if (want === undefined) return
    want.unwatch()
    this.#wants.delete(id)
    if (this.#askedBy.get(want.digest) === id) this.#askedBy.delete(want.digest)
    if (want.holding !== undefined && this.holderOf(want.digest) === undefined) {
      this.#options.onGone(this, want.digest)
    }
  }

  closeAll(): void {
    for (const id of [...this.#wants.keys()]) this.close(id)
  }

  /** Tells of all pieces that came since the last time, and that the asker lacks. */
  flush(): void {
    for (const want of this.#wants.values()) {
      const pieces = want.news.filter((piece) => !this.#options.isWith(want.digest, piece))
      if (pieces.length < want.news.length) want.isCurtailed = true
      want.news = []
      while (pieces.length > 0) {
        this.say({ type: 'update', id: want.id, pieces: pieces.splice(0, maxPiecesPerUpdate) })
      }
    }
  }

  /** The asker may not hold any more what it was not told of for that: it is told everything again. */
  retell(digest: Digest): void {
    for (const want of this.#wants.values()) {
      if (want.digest === digest && want.isCurtailed) this.#refresh(want)
    }
  }

  async #answer(want: ServedWant): Promise<void> {
    want.isAnswering = true
    try {
      do {
        want.isStale = false
        const holding = await this.#options.holdings.find(want)
        if (this.#wants.get(want.id) !== want) return
        if (!want.isStale) this.#tell(want, holding)
      } while (want.isStale)
    } finally {
      want.isAnswering = false
    }
  }

  #tell(want: ServedWant, holding: Holding | undefined): void {
    const { id } = want
    want.holding = holding
    want.news = []
    want.isCurtailed = false
    if (holding === undefined) {
      this.say({ type: 'absent', id })
      return
    }
    const { size, held } = holding
    if (held.complete) this.say({ type: 'complete', id, size })
    else this.say({ type: 'partial', id, size, bitfield: held.toBytes() })
    this.#options.onHolding(this, want, holding)
  }

  #heard(want: ServedWant, news: HoldingNews): void {
    const { holding } = want
    if (news.type === 'piece') {
      if (holding === undefined) return
      want.news.push(news.piece)
      this.#options.onNews(this)
      return
    }
    if (news.type === 'lost') {
      if (holding !== undefined) this.say({ type: 'lost', id: want.id, pieces: [news.piece] })
      return
    }
    // From part to whole everything that was asked stays right. Anything else begins anew.
    if (holding !== undefined && !(holding.held.complete && !holding.complete)) {
      want.holding = undefined
      want.news = []
      this.say({ type: 'absent', id: want.id })
      if (this.holderOf(want.digest) === undefined) this.#options.onGone(this, want.digest)
    }
    this.#refresh(want)
  }

  #refresh(want: ServedWant): void {
    want.isStale = true
    if (!want.isAnswering) this.#options.background.start('answer', async () => await this.#answer(want))
  }
}
