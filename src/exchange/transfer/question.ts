/** One member that is asked whether it holds some content, and for all of it at once. */
import type { Clock } from '../../base/base.ts'
import type { Asking } from '../peer/asking.ts'
import type { Want, WantEvent } from '../peer/want.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import type { Wanted } from '../protocol/wanted.ts'

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

export class Question {
  readonly peer: string
  readonly #clock: Clock
  readonly #close: () => void
  readonly #want: Want | undefined
  readonly #answer = Promise.withResolvers<boolean>()
  readonly #whole = Promise.withResolvers<Uint8Array | undefined>()
  /** As the member says. */
  #size = 0
  #pieces: Uint8Array[][] = []
  #missing = 0

  constructor(peer: string, wanted: Wanted, { links, clock }: QuestionOptions) {
    this.peer = peer
    this.#clock = clock
    const link = links.to(peer)
    this.#want = link.want(wanted, (event) => this.#heard(event))
    const want = this.#want
    this.#close = () => want && link.release(want)
    if (want === undefined) this.#fail()
  }

  /** Whether it holds all of it, as it says; false when it does not answer in time. */
  async answer(signal: AbortSignal): Promise<boolean> {
    return (await this.#within(this.#answer.promise, answerMs, signal)) ?? false
  }

  /** `undefined` when it is more than `maxBytes`, or does not come. */
  async fetch(maxBytes: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (this.#size > maxBytes || signal.aborted) return undefined
    const { count } = layoutOf(this.#size)
    this.#missing = count
    if (count === 0) return new Uint8Array()
    this.#want?.request([...Array(count).keys()], true)
    return await this.#within(this.#whole.promise, slowMs + this.#size / slowBytesPerMs, signal)
  }

  close(): void {
    this.#fail()
    this.#close()
  }

  #heard(event: WantEvent): void {
    if (event.type === 'holds') {
      this.#size = event.size
      this.#answer.resolve(event.held.complete)
    } else if (event.type === 'piece') {
      if (this.#pieces[event.piece] === undefined) this.#missing--
      this.#pieces[event.piece] = event.chunks
      if (this.#missing === 0) this.#whole.resolve(new Uint8Array(Buffer.concat(this.#pieces.flat())))
    } else if (!isTalk.has(event.type)) this.#fail()
  }

  #fail(): void {
    this.#answer.resolve(false)
    this.#whole.resolve(undefined)
    this.#pieces = []
  }

  async #within<T>(promise: Promise<T>, ms: number, signal: AbortSignal): Promise<T | undefined> {
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    const late = this.#clock.sleep(ms, { signal: either }).then(
      () => undefined,
      () => undefined,
    )
    try {
      return await Promise.race([promise, late])
    } finally {
      over.abort(new Error('it is not waited for any more'))
    }
  }
}
