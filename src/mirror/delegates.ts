/** Who asks an upstream for all: the members ranked, asked in turn, and what is remembered of their answers. */
import { type Clock, type Logger, logFailure, SingleFlight } from '../base/base.ts'
import type { RecordKey } from '../records/records.ts'
import type { Checks } from './checks.ts'
import { type CircuitBreaker, CircuitBreakers, silence } from './circuit-breaker.ts'
import { askInTurn, missWithinMs, tooLate } from './in-turn.ts'
import {
  type Answer,
  type AnswerTo,
  type BlobQuestion,
  type Failure,
  failure,
  isAnswerTo,
  type Question,
  questionName,
  type Trouble,
  upstreamName,
} from './messages.ts'
import type { MirrorPeers } from './mirror.ts'
import { Ranking, type RankingOptions } from './ranking.ts'
import type { Reaching } from './reaching.ts'
import type { ReferrerLists } from './referrer-lists.ts'

interface DelegatesOptions extends RankingOptions {
  peers: MirrorPeers
  reaching: Pick<Reaching, 'names' | 'noteFailure'>
  /** This node's own answer. */
  answer(question: ShortQuestion): Promise<Answer>
  checks: Checks
  lists: ReferrerLists
  clock: Clock
  logger: Logger
}

/** One whose answer holds all that it is about. */
export type ShortQuestion = Exclude<Question, BlobQuestion>

export interface Fetching {
  signal: AbortSignal
  /** This node's own answer. */
  answer(signal: AbortSignal): Promise<Answer>
  /** How long nothing of it has come; `undefined` while nothing of it is known. */
  idleMs(): number | undefined
}

/** Longer than a member waits for an upstream, but for blobs. */
const giveUpMs = 25_000
/** Troubles in which whatever else the upstream is asked about would end, too. */
const areOfTheUpstream: ReadonlySet<Trouble> = new Set(['unreachable', 'paused', 'refused', 'wrong'])

export class Delegates {
  readonly #options: DelegatesOptions
  readonly #breakers: CircuitBreakers
  readonly #flights = new SingleFlight<Answer>()
  readonly #ranking: Ranking

  constructor(options: DelegatesOptions) {
    this.#options = options
    this.#ranking = new Ranking(options)
    this.#breakers = new CircuitBreakers(options.clock)
  }

  /** Whether anybody gets an answer from it. */
  breakerOf(upstream: string): CircuitBreaker {
    return this.#breakers.of(upstream)
  }

  /** Asks for what is not here. Within 5 s there is an answer, be it that there is none. */
  async askForMissing<Q extends ShortQuestion>(question: Q): Promise<AnswerTo<Q>> {
    return this.#refused(question) ?? (await this.askWithin(missWithinMs, question))
  }

  /** The answer, or that there is none in time. */
  async askWithin<Q extends ShortQuestion>(ms: number, question: Q): Promise<AnswerTo<Q>> {
    const upstream = upstreamName(question)
    const over = new AbortController()
    // A check is let go sooner than a slow upstream answers, which is nobody's fault.
    const isCheck = ms < missWithinMs
    const { clock, peers } = this.#options
    const waited = clock.sleep(ms, over).then(() => {
      const [first] = isCheck ? [] : this.#candidates(question)
      const byOthers = first !== undefined && first !== peers.self
      return this.breakerOf(upstream).late({ byOthers, isCheck })
    })
    try {
      return await Promise.race([this.ask(question), waited])
    } finally {
      over.abort(new Error('it was answered'))
    }
  }

  /** Asks without anybody waiting for the answer. */
  askBehind(question: ShortQuestion): void {
    this.ask(question).catch((error: unknown) => {
      logFailure(this.#options.logger, error, 'a mirrored name was not checked', {
        name: questionName(question),
      })
    })
  }

  /** Shared by all who ask the same, and not cut short when they wait no more: what it brings serves the next. */
  async ask<Q extends ShortQuestion>(question: Q): Promise<AnswerTo<Q>> {
    const name = questionName(question)
    // Whoever wants it fresh is not given what others take for it.
    const flight = question.about === 'manifest' ? name : `${name} ${question.maxAgeMs}`
    const answer = await this.#flights.run(flight, () =>
      this.#inTurn(question, {
        signal: new AbortController().signal,
        answer: () => this.#options.answer(question),
        idleMs: () => undefined,
      }),
    )
    return checked(question, answer)
  }

  /**
   * Has a blob fetched, by one member at a time, until it is where it was to be. While nothing of it is known, within 5 s; after
   * that until there is no more to come. Throws the signal's reason, and what this node's own answer throws.
   */
  async fetch(question: BlobQuestion, fetching: Fetching): Promise<AnswerTo<BlobQuestion>> {
    if (this.#ranking.refute(question.digest, fetching.idleMs()))
      this.breakerOf(upstreamName(question)).mistrust()
    const refused = fetching.idleMs() === undefined ? this.#refused(question) : undefined
    try {
      return refused ?? checked(question, await this.#inTurn(question, fetching))
    } catch (error) {
      if (error !== tooLate) throw error
      return silence
    }
  }

  async #inTurn(question: Question, { signal, idleMs, answer }: Fetching): Promise<Answer> {
    const { peers, clock } = this.#options
    let own: Answer | undefined
    const said = await askInTurn({
      question,
      self: peers.self,
      candidates: () => this.#candidates(question),
      ask: async (member, until) => {
        const isOwn = member === peers.self
        try {
          if (!isOwn) return await this.#askMember(member, question, until)
          own = await answer(until)
          return own
        } finally {
          if (until.reason === tooLate)
            this.breakerOf(upstreamName(question)).late({ byOthers: !isOwn, isCheck: false })
        }
      },
      idleMs,
      clock,
      signal,
    })
    this.#remember(question, said, { isOwn: said === own })
    return said
  }

  #candidates(question: Question): string[] {
    const isSelfFirst = this.breakerOf(upstreamName(question)).isDoubtful
    return this.#ranking.candidates(question, { isSelfFirst })
  }

  /** Where it is known to be in vain, why; once in a while one question finds out whether it still is. */
  #refused(question: Question): Failure | undefined {
    const breaker = this.breakerOf(upstreamName(question))
    const { failure } = breaker
    if (failure === undefined || (question.about === 'blob' && breaker.isSlow)) return undefined
    return breaker.mayAsk() ? undefined : failure
  }

  /** Throws when the signal aborts. */
  async #askMember(member: string, question: Question, signal: AbortSignal): Promise<Answer> {
    const { peers, clock, logger } = this.#options
    const over = new AbortController()
    const either = AbortSignal.any([signal, over.signal])
    if (question.about !== 'blob')
      clock.sleep(giveUpMs, { signal: either }).then(
        () => over.abort(new Error('it did not answer in time')),
        () => undefined,
      )
    try {
      const answer = await peers.ask(member, question, { signal: either })
      if (!isAnswerTo(question, answer)) throw new Error('it answered something else')
      if (question.about === 'blob' && answer.answer === 'there') this.#ranking.claim(member, question.digest)
      if ('records' in answer) await peers.accept(member, answer.records, keysOf(question, answer))
      return answer
    } catch (error) {
      if (!signal.aborted || signal.reason === tooLate) this.#ranking.rest(member)
      signal.throwIfAborted()
      logger.debug({ err: error, member, name: questionName(question) }, 'a member did not ask an upstream')
      const why = error instanceof Error ? error.message : 'for no reason that is known'
      return failure('unreachable', `was to be asked by a member that failed: ${why}`)
    } finally {
      over.abort(new Error('it is over'))
    }
  }

  #remember(question: Question, answer: Answer, { isOwn }: { isOwn: boolean }): void {
    const { checks, lists, clock, reaching } = this.#options
    const upstream = upstreamName(question)
    const name = questionName(question)
    const nowMs = clock.now()
    if (answer.answer === 'failed') {
      if (isOwn && answer.trouble === 'unreachable') reaching.noteFailure(upstream)
      if (areOfTheUpstream.has(answer.trouble)) this.breakerOf(upstream).failed(answer, { isHearsay: !isOwn })
      return
    }
    this.breakerOf(upstream).answered()
    if (question.about === 'blob') return
    if (answer.answer === 'there') checks.note(name, { atMs: nowMs - answer.ageMs, digest: answer.digest })
    if (answer.answer === 'listed') lists.note(name, { atMs: nowMs - answer.ageMs, digests: answer.digests })
    if (answer.answer === 'absent') checks.note(name, { atMs: nowMs, digest: undefined })
  }
}

/** What an honest answer has records of. */
function keysOf(question: Question, answer: Answer): RecordKey[] {
  const { repository } = question
  if (question.about === 'blob') return []
  if (question.about === 'tag') return [{ kind: 'tag', repository, tag: question.tag }]
  const digests = answer.answer === 'listed' ? answer.digests : [question.digest]
  return digests.map((digest) => ({ kind: 'manifest', repository, digest }))
}

function checked<Q extends Question>(question: Q, answer: Answer): AnswerTo<Q> {
  if (isAnswerTo(question, answer)) return answer
  throw new Error(`a question about a ${question.about} got the answer ${answer.answer}`)
}
