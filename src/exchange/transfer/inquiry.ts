/** Members asked whether they hold some content: those that are connected, and those that the DHT names. */
import { Fifo, type Logger, shuffled, unlessAborted, untilOrAfter } from '../../base/base.ts'
import type { ExchangeMembers, Providers } from '../contract.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Holds } from './candidates.ts'
import { Question, type QuestionOptions } from './question.ts'

export interface InquiryOptions extends QuestionOptions {
  self: string
  members: Pick<ExchangeMembers, 'peers'>
  providers: Pick<Providers, 'find'>
  random(): number
  logger: Logger
  /** So many of the connected members are asked, by chance; default all. */
  connected?: number
  /** Who holds so much counts; default who holds all of it. */
  isEnough?(holds: Holds): boolean
}

/** Members that are asked at once; names cost nothing, so no number of them may keep the others from being asked. */
const maxAsked = 256
/** How long the DHT waits for members that are asked. */
const headStartMs = 200
/** One that hangs must not cost more than asking the others does. */
const likelyMs = 500

export class Inquiry implements Disposable {
  readonly #wanted: Wanted
  readonly #options: InquiryOptions
  readonly #over = new AbortController()
  readonly #signal: AbortSignal
  readonly #questions = new Map<string, Question>()
  readonly #holding = new Fifo<Question>()
  /** Questions, and the look-up in the DHT. */
  #open = 0
  #isFound = false
  #isSearched = false
  #news = Promise.withResolvers<void>()

  constructor(wanted: Wanted, options: InquiryOptions, signal: AbortSignal) {
    this.#wanted = wanted
    this.#options = options
    this.#signal = AbortSignal.any([signal, this.#over.signal])
  }

  /**
   * Those that hold it, as they answer: `likely` first, and alone for a moment. The DHT is asked where no connected member has it, or what
   * those gave was not enough: with `isThorough`, whoever takes another after the last wants more. They may be asked for it until
   * the inquiry is disposed of, also when there is nobody left to ask.
   */
  async *holders({
    likely,
    isThorough = false,
  }: {
    likely?: string | undefined
    isThorough?: boolean
  } = {}): AsyncGenerator<Question, void, undefined> {
    const { members, clock, random, connected } = this.#options
    const signal = this.#signal
    if (likely !== undefined && members.peers().includes(likely)) {
      await untilOrAfter(this.#ask(likely), likelyMs, { clock, signal })
      const first = this.#holding.shift()
      if (first !== undefined) yield first
    }
    for (const peer of shuffled(members.peers(), random).slice(0, connected)) void this.#ask(peer)
    // Members that answer late do not keep the DHT from being asked.
    clock.sleep(headStartMs, { signal }).then(
      () => this.#isFound || void this.#search(),
      () => undefined,
    )
    for (;;) {
      const next = this.#holding.shift()
      if (next !== undefined) yield next
      else if (this.#open > 0) await unlessAborted(this.#news.promise, signal)
      else if (this.#isSearched || (this.#isFound && !isThorough)) return
      else void this.#search()
    }
  }

  [Symbol.dispose](): void {
    this.#over.abort(new Error('the look-up is over'))
    for (const question of this.#questions.values()) question[Symbol.dispose]()
  }

  async #ask(peer: string): Promise<void> {
    const { self, isEnough = ({ held }) => held.complete } = this.#options
    const questions = this.#questions
    if (this.#signal.aborted || peer === self || questions.has(peer) || questions.size >= maxAsked) return
    const question = new Question(peer, this.#wanted, this.#options)
    questions.set(peer, question)
    this.#open++
    const holds = await question.answer()
    if (holds !== undefined && isEnough(holds)) {
      this.#isFound = true
      this.#holding.push(question)
    }
    this.#told()
  }

  async #search(): Promise<void> {
    if (this.#isSearched) return
    const { providers, logger } = this.#options
    this.#isSearched = true
    this.#open++
    try {
      for await (const peer of providers.find(this.#wanted, { signal: this.#signal })) void this.#ask(peer)
    } catch (error) {
      if (!this.#signal.aborted)
        logger.warn({ err: error, digest: this.#wanted.digest }, 'a look-up of providers failed')
    }
    this.#told()
  }

  #told(): void {
    this.#open--
    this.#news.resolve()
    this.#news = Promise.withResolvers()
  }
}
