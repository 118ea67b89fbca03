/** Questions to the cluster about an upstream: who asks it, how long that is waited for, and what is remembered of the answer. */
import { type Clock, type Logger, logFailure, SingleFlight } from '../base/base.ts'
import type { RecordKey } from '../records/records.ts'
import { rankMembers } from '../upstream/upstream.ts'
import { askAround } from './ask-around.ts'
import type { Checks } from './checks.ts'
import {
  type Answer,
  type AnswerTo,
  isAnswerTo,
  type Question,
  questionName,
  reasonText,
  type Unanswered,
} from './messages.ts'
import type { MirrorPeers } from './mirror.ts'
import { type Failure, type Outage, Outages } from './outage.ts'
import type { ReferrerLists } from './referrer-lists.ts'

interface AskingOptions {
  peers: MirrorPeers
  /** Whether this node reaches the upstream and shares what it gives. */
  reaches(upstream: string): boolean
  /** This node's own answer. */
  answer(question: Question): Promise<Answer>
  checks: Checks
  lists: ReferrerLists
  clock: Clock
  logger: Logger
}

/** How long a client waits for what is not here. */
const missWithinMs = 4_500
/** Takeover after takeover would make each question cost an upstream as much as the cluster is large. */
const maxAsked = 4

export class Asking {
  readonly #options: AskingOptions
  readonly #outages: Outages
  readonly #flights = new SingleFlight<Answer>()

  constructor(options: AskingOptions) {
    this.#options = options
    this.#outages = new Outages(options.clock)
  }

  /** Whether anybody gets an answer from it. */
  outageOf(upstream: string): Outage {
    return this.#outages.of(upstream)
  }

  /** Asks for what is not here. Within 5 s there is an answer, be it that there is none. */
  async askForMissing<Q extends Question>(upstream: string, question: Q): Promise<AnswerTo<Q>> {
    const outage = this.outageOf(upstream)
    const { failure } = outage
    if (failure !== undefined && !outage.mayAsk()) return failure
    return this.askWithin(missWithinMs, upstream, question)
  }

  /** The answer, or that there is none in time. */
  async askWithin<Q extends Question>(ms: number, upstream: string, question: Q): Promise<AnswerTo<Q>> {
    const late: Failure = { answer: 'failed', reason: `${upstream} does not answer` }
    const over = new AbortController()
    // A check is let go sooner than a slow upstream answers, which is nobody's fault.
    const isLong =
      ms >= missWithinMs && this.#options.peers.reaching(upstream, question.repository).length > 0
    const byOthers = isLong && !this.#asksItself(upstream)
    const waited = this.#options.clock.sleep(ms, over).then(() => {
      this.outageOf(upstream).late(late, { byOthers })
      return late
    })
    try {
      return await Promise.race([this.ask(upstream, question), waited])
    } finally {
      over.abort(new Error('it was answered'))
    }
  }

  /** Asks without anybody waiting for the answer. */
  askBehind(upstream: string, question: Question): void {
    this.ask(upstream, question).catch((error: unknown) => {
      logFailure(this.#options.logger, error, 'a mirrored name was not checked', {
        name: questionName(question),
      })
    })
  }

  /** Shared by all who ask the same, and not cut short when they wait no more: what it brings serves the next. */
  async ask<Q extends Question>(upstream: string, question: Q): Promise<AnswerTo<Q>> {
    const name = questionName(question)
    // Whoever wants it fresh is not given what others take for it.
    const flight = question.about === 'manifest' ? name : `${name} ${question.maxAgeMs}`
    const answer = await this.#flights.run(flight, async () => {
      const { peers, reaches, clock } = this.#options
      const reaching = peers.reaching(upstream, question.repository)
      const members = [...reaching, ...(reaches(upstream) ? [peers.self] : [])]
      const byRank = rankMembers(name, members).slice(0, maxAsked)
      const ranked = this.#asksItself(upstream) ? [...new Set([peers.self, ...byRank])] : byRank
      let own: Answer | undefined
      const ask = async (member: string): Promise<Answer> => {
        const said = await this.#askMember(member, question)
        if (member === peers.self) own = said
        return said
      }
      let answer = await askAround(ranked, nobody(upstream), { ask, clock })
      const hasFailed = answer.answer === 'failed' || answer.answer === 'refused'
      if (hasFailed && reaches(upstream)) answer = own ?? (await ask(peers.self))
      this.#remember(upstream, name, answer, { isOwn: answer === own })
      return answer
    })
    if (isAnswerTo(question, answer)) return answer
    throw new Error(`a question about a ${question.about} got the answer ${answer.answer}`)
  }

  /** What members said of its troubles is looked at by this node itself, where it can. */
  #asksItself(upstream: string): boolean {
    return this.outageOf(upstream).isDoubtful && this.#options.reaches(upstream)
  }

  async #askMember(member: string, question: Question): Promise<Answer> {
    const { peers, logger } = this.#options
    if (member === peers.self) return this.#options.answer(question)
    try {
      const answer = await peers.ask(member, question)
      const { answer: kind } = answer
      if (!isAnswerTo(question, answer)) return notAsked(`it answered with "${kind}"`)
      if ('records' in answer) await peers.accept(member, answer.records, keysOf(question, answer))
      return answer
    } catch (error) {
      logger.debug({ err: error, member, name: questionName(question) }, 'a member did not ask an upstream')
      const why = error instanceof Error ? error.message : 'for no reason that is known'
      return notAsked(why)
    }
  }

  #remember(upstream: string, name: string, answer: Answer, { isOwn }: { isOwn: boolean }): void {
    const { checks, lists, clock } = this.#options
    const nowMs = clock.now()
    const outage = this.outageOf(upstream)
    if (answer.answer === 'failed' || answer.answer === 'limited') {
      outage.failed(answer, { isHearsay: !isOwn })
    } else if (answer.answer !== 'refused') outage.answered()
    if (answer.answer === 'there') checks.note(name, { atMs: nowMs - answer.ageMs, digest: answer.digest })
    if (answer.answer === 'listed') lists.note(name, { atMs: nowMs - answer.ageMs, digests: answer.digests })
    if (answer.answer === 'absent') checks.note(name, { atMs: nowMs, digest: undefined })
  }
}

/** What an honest answer has records of. */
function keysOf(question: Question, answer: Answer): RecordKey[] {
  const { repository } = question
  if (question.about === 'tag') return [{ kind: 'tag', repository, tag: question.tag }]
  const digests = answer.answer === 'listed' ? answer.digests : 'digest' in question ? [question.digest] : []
  return digests.map((digest) => ({ kind: 'manifest', repository, digest }))
}

function notAsked(why: string): Unanswered {
  return { answer: 'failed', reason: reasonText(`the member that was to ask for it failed: ${why}`) }
}

function nobody(upstream: string): Failure {
  return { answer: 'failed', reason: `no member of the cluster reaches ${upstream} now` }
}
