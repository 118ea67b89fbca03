/**
 * What members hold, asked of them without a transfer: who has a blob whole, and content that is small enough to be proven at once,
 * such as a manifest. Nothing of either is kept.
 */
import {
  Fifo,
  firstOf,
  Keyed,
  type Logger,
  SingleFlight,
  unlessAborted,
  untilOrAfter,
} from '../../base/base.ts'
import { algorithmOf, digestBytes } from '../../oci/oci.ts'
import type { ExchangeMembers, Providers } from '../contract.ts'
import type { Faults } from '../peer/faults.ts'
import type { Wanted } from '../protocol/wanted.ts'
import { Question, type QuestionOptions } from './question.ts'

export interface LookUpOptions extends QuestionOptions {
  self: string
  members: Pick<ExchangeMembers, 'peers'>
  providers: Pick<Providers, 'find'>
  faults: Pick<Faults, 'add'>
  random(): number
  logger: Logger
  /** Aborts when the exchange closes. */
  stop: AbortSignal
}

export interface ReadOptions {
  /** What claims to be larger is not asked for. */
  maxBytes: number
  /** A member that most likely has it: asked alone first, when it is connected. */
  likely?: string | undefined
  signal: AbortSignal
}

interface HoldingOptions {
  /** Those that are asked are added, and closed by whoever reads their answers. */
  questions: Map<string, Question>
  signal: AbortSignal
  likely?: string | undefined
  isThorough: boolean
}

/** Members that are asked at once; names cost nothing, so no number of them may keep the others from being asked. */
const maxAsked = 256
/** How long the DHT waits for members that are asked. */
const headStartMs = 200
/** One that hangs must not cost more than asking the others does. */
const likelyMs = 500
/** One that takes longer is not waited for alone, and so many are asked at once. */
const besideMs = 400
const maxAtOnce = 8
/** All members together may delay a "nobody has it" by this, however many of them begin to give and do not go on. */
const readMs = 30_000

interface Small {
  bytes: Uint8Array
  peer: string
}

export class LookUp {
  readonly #options: LookUpOptions
  readonly #reading = new SingleFlight<Small | undefined>()
  readonly #turns = new Keyed()

  constructor(options: LookUpOptions) {
    this.#options = options
  }

  /** Peer ids of members that say they hold all of it, as they answer. Ends when all have, within about six seconds. */
  async *seeders(
    wanted: Wanted,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<string, void, undefined> {
    const questions = new Map<string, Question>()
    try {
      for await (const { peer } of this.#holding(wanted, { questions, signal, isThorough: false })) yield peer
    } finally {
      for (const question of questions.values()) question.close()
    }
  }

  /** The bytes, which hash to the digest; `undefined` when no member gives them. A member that gives others is blamed. */
  async read(wanted: Wanted, { signal, ...options }: ReadOptions): Promise<Small | undefined> {
    const { repository, digest } = wanted
    // A member sends a piece once, whoever asks for it here: those who ask at once share it, or take turns.
    const reading = this.#reading.run(`${repository}@${digest}`, () =>
      this.#turns.run(digest, () => this.#read(wanted, { ...options, signal: this.#options.stop })),
    )
    return await unlessAborted(reading, signal)
  }

  async #read(wanted: Wanted, { maxBytes, likely, signal }: ReadOptions): Promise<Small | undefined> {
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    const questions = new Map<string, Question>()
    const { clock } = this.#options
    let found: Small | undefined
    try {
      const offers = this.#holding(wanted, { questions, signal: either, likely, isThorough: true })
      const reading = firstOf(offers, {
        deliver: async (question, options) => {
          const stop = AbortSignal.any([either, options.signal])
          const bytes = await this.#fetch(question, wanted, maxBytes, stop)
          return bytes && { bytes, peer: question.peer }
        },
        discard: () => undefined,
        besideMs,
        most: maxAtOnce,
        clock,
      })
      const isRead = reading.then((small) => {
        found = small
      })
      await untilOrAfter(isRead, readMs, { clock, signal })
      return found
    } finally {
      over.abort(new Error('the look-up is over'))
      for (const question of questions.values()) question.close()
    }
  }

  /**
   * Asks the connected members, and those that the DHT names where none of them has it, or what those gave was not enough:
   * with `isThorough`, whoever takes another question after the last wants more. `likely` is alone for a moment.
   */
  async *#holding(
    wanted: Wanted,
    { questions, signal, likely, isThorough }: HoldingOptions,
  ): AsyncGenerator<Question, void, undefined> {
    const { self, members, providers, clock, random, logger } = this.#options
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    const holding = new Fifo<Question>()
    const state = { asking: 0, isFound: false, isSearched: false, isSearching: false }
    let news = Promise.withResolvers<void>()
    const ask = async (peer: string): Promise<void> => {
      if (either.aborted || peer === self || questions.has(peer) || questions.size >= maxAsked) return
      const question = new Question(peer, wanted, this.#options)
      questions.set(peer, question)
      state.asking++
      const isHere = await question.answer(either)
      state.asking--
      if (isHere) holding.push(question)
      state.isFound ||= isHere
      news.resolve()
    }
    const search = async (): Promise<void> => {
      Object.assign(state, { isSearched: true, isSearching: true })
      try {
        for await (const peer of providers.find(wanted, { signal: either })) void ask(peer)
      } catch (error) {
        if (!either.aborted)
          logger.warn({ err: error, digest: wanted.digest }, 'a look-up of providers failed')
      }
      state.isSearching = false
      news.resolve()
    }
    try {
      if (likely !== undefined && members.peers().includes(likely)) {
        await untilOrAfter(ask(likely), likelyMs, { clock, signal: either })
        const first = holding.shift()
        if (first !== undefined) yield first
      }
      for (const peer of shuffled(members.peers(), random)) void ask(peer)
      // Members that answer late do not keep the DHT from being asked.
      clock.sleep(headStartMs, { signal: either }).then(
        () => state.isFound || state.isSearched || void search(),
        () => undefined,
      )
      while (!signal.aborted) {
        const next = holding.shift()
        if (next !== undefined) yield next
        else if (state.asking > 0 || state.isSearching) {
          await unlessAborted(news.promise, signal)
          news = Promise.withResolvers()
        } else if (state.isSearched || (state.isFound && !isThorough)) return
        else void search()
      }
    } finally {
      // The questions stay open: what one of them gives may still be on its way when there is nobody left to ask.
      over.abort(new Error('the look-up is over'))
    }
  }

  async #fetch(
    question: Question,
    { digest }: Wanted,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const bytes = await question.fetch(maxBytes, signal)
    if (bytes === undefined || digestBytes(bytes, algorithmOf(digest)) === digest) return bytes
    this.#options.faults.add(question.peer, 'wrong-bytes', { digest })
    return undefined
  }
}

function shuffled(peers: readonly string[], random: () => number): string[] {
  return peers
    .map((peer) => ({ peer, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ peer }) => peer)
}
