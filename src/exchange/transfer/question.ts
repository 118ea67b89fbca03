/** One member that is asked whether it holds some content, and for all of it at once. */
import { type Clock, untilOrAfter } from '../../base/base.ts'
import type { Asking } from '../peer/asking.ts'
import type { Want, WantEvent } from '../peer/want.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Holds } from './candidates.ts'

/** A hung member delays "nobody has it" by this; a busy one answers behind all that its uplink has to carry. */
const answerMs = 6000
/** What a member may take for all of it: less is no narrow link, but no link. */
const slowMs = 5000
const slowBytesPerMs = 32
/** What neither answers a question nor ends it. */
const isTalk: ReadonlySet<WantEvent['type']> = new Set(['alive', 'bytes', 'others', 'has', 'list', 'no-list'])

export interface QuestionOptions {
  links: { to(peer: string): Pick<Asking, 'want' | 'release'> }
  clock: Clock
}

export class Question implements Disposable {
  readonly peer: string
  readonly #clock: Clock
  readonly #want: Want | undefined
  readonly #release: () => void
  readonly #answered = Promise.withResolvers<void>()
  readonly #over = Promise.withResolvers<void>()
  /** As the member says. */
  #holds: Holds | undefined
  #pieces: Uint8Array[][] = []
  #missing = 0

  constructor(peer: string, wanted: Wanted, { links, clock }: QuestionOptions) {
    this.peer = peer
    this.#clock = clock
    const link = links.to(peer)
    const want = link.want(wanted, (event) => this.#heard(event))
    this.#want = want
    this.#release = () => want && link.release(want)
    if (want === undefined) this.#fail()
  }

  /** What it holds, as it says; `undefined` when that is nothing, or it does not answer in time. */
  async answer(): Promise<Holds | undefined> {
    await untilOrAfter(this.#answered.promise, answerMs, { clock: this.#clock })
    return this.#holds
  }

  /** After its answer. `undefined` when it is more than `maxBytes`, or does not come. */
  async fetch(maxBytes: number): Promise<Uint8Array | undefined> {
    if (this.#holds === undefined || this.#holds.size > maxBytes) return undefined
    const { size } = this.#holds
    const { count } = layoutOf(size)
    this.#missing = count
    if (count > 0) {
      this.#want?.request([...Array(count).keys()], true)
      await untilOrAfter(this.#over.promise, slowMs + size / slowBytesPerMs, { clock: this.#clock })
    }
    return this.#missing > 0 ? undefined : new Uint8Array(Buffer.concat(this.#pieces.flat()))
  }

  [Symbol.dispose](): void {
    this.#fail()
    this.#release()
  }

  #heard(event: WantEvent): void {
    if (event.type === 'holds') {
      this.#holds = event
      this.#answered.resolve()
    } else if (event.type === 'piece') {
      if (this.#pieces[event.piece] === undefined) this.#missing--
      this.#pieces[event.piece] = event.chunks
      if (this.#missing === 0) this.#over.resolve()
    } else if (!isTalk.has(event.type)) this.#fail()
  }

  #fail(): void {
    this.#holds = undefined
    this.#answered.resolve()
    this.#over.resolve()
  }
}
