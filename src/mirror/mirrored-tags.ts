/** What a mirrored tag points to: fresh, just checked, or stale where the upstream does not answer. */
import { type Clock, RecentMap } from '../base/base.ts'
import { OciError, type Repository, type Tag, upstreamOf } from '../oci/oci.ts'
import type { Names, TagEntry } from '../records/records.ts'
import type { Asked, MirroredTag } from '../registry/registry.ts'
import { type Checks, lastCheckMs } from './checks.ts'
import type { Delegates } from './delegates.ts'
import { refusalOf } from './failures.ts'
import { absentMs } from './known-answers.ts'
import { type Answer, type Failure, questionName, type TagQuestion } from './messages.ts'

interface MirroredTagsOptions {
  names: Names
  delegates: Delegates
  checks: Checks
  /** Brings the record of a tag here, if a member has one. */
  askForTag(repository: Repository, tag: Tag): Promise<Asked>
  ttlMs: number
  clock: Clock
  /** What records say of their time is read by it. */
  wall: Clock
}

/** How long what is here waits to be checked. */
const checkWithinMs = 1_000
/** How long something stale is answered before it is looked at again. */
const staleForMs = 2_000
const maxUnsure = 1_000

export class MirroredTags {
  readonly #options: MirroredTagsOptions
  /** What upstreams do not have, and members that were silent may. */
  readonly #unsure = new RecentMap<string, true>(maxUnsure)

  constructor(options: MirroredTagsOptions) {
    this.#options = options
  }

  /** As `Mirror.resolveTag`. */
  async resolve(
    repository: Repository,
    tag: Tag,
    standing: TagEntry | undefined,
  ): Promise<MirroredTag | Asked> {
    const { checks, clock, wall, ttlMs } = this.#options
    const question: TagQuestion = { about: 'tag', repository, tag, maxAgeMs: ttlMs }
    const name = questionName(question)
    const nowMs = clock.now()
    const times = { nowMs, wallMs: wall.now() }
    const checkedMs = standing === undefined ? 0 : lastCheckMs(standing, name, checks, times)
    const absentAtMs = checks.heardMs(name, undefined) ?? 0
    if (absentAtMs > checkedMs && nowMs - absentAtMs < Math.min(absentMs, ttlMs)) {
      const isUnsure = standing === undefined && this.#unsure.has(name)
      return isUnsure ? this.#ofMembers(question, { answer: 'absent' }) : undefined
    }
    if (standing === undefined) return this.#resolveMissing(question)
    if (standing.checkedMs === undefined) return { digest: standing.digest }
    if (nowMs - checkedMs < ttlMs) return { digest: standing.digest, freshUntilMs: checkedMs + ttlMs }
    return this.#revalidate(question, standing, checkedMs)
  }

  async #resolveMissing(question: TagQuestion): Promise<MirroredTag | Asked> {
    const answer = await this.#options.delegates.askForMissing(question)
    return answer.answer === 'there' ? this.#settled(question, answer) : this.#ofMembers(question, answer)
  }

  /** What the upstream does not have, or does not say now, may have been pushed to a member, or heard by one before. */
  async #ofMembers(question: TagQuestion, answer: Failure | Absent): Promise<MirroredTag | Asked> {
    const { askForTag, names, checks, clock, wall } = this.#options
    const { repository, tag } = question
    const name = questionName(question)
    const asked = await askForTag(repository, tag)
    const heard = await names.findTag(repository, tag)
    this.#unsure.delete(name)
    if (heard !== undefined && heard.checkedMs === undefined) return { digest: heard.digest }
    if (answer.answer === 'absent') {
      if (asked === 'silence') this.#unsure.set(name, true)
      return asked
    }
    if (heard === undefined) throw refusalOf(question, answer)
    const times = { nowMs: clock.now(), wallMs: wall.now() }
    return this.#stale(question, heard, lastCheckMs(heard, name, checks, times), true)
  }

  /** Nobody waits for an upstream that is known not to answer: once in a while one request has it asked, behind its answer. */
  async #revalidate(
    question: TagQuestion,
    standing: TagEntry,
    checkedMs: number,
  ): Promise<MirroredTag | undefined> {
    const { delegates } = this.#options
    const upstream = upstreamOf(question.repository) ?? ''
    const breaker = delegates.breakerOf(upstream)
    if (breaker.failure !== undefined) {
      if (breaker.mayAsk()) delegates.askBehind(question)
      return this.#stale(question, standing, checkedMs, false)
    }
    const answer = await delegates.askWithin(checkWithinMs, question)
    if (answer.answer === 'there' || answer.answer === 'absent') return this.#settled(question, answer)
    return this.#stale(question, standing, checkedMs, true)
  }

  async #settled(question: TagQuestion, answer: Definite): Promise<MirroredTag | undefined> {
    if (answer.answer === 'absent') return undefined
    const { names, clock, ttlMs } = this.#options
    const entry = await names.findTag(question.repository, question.tag)
    if (entry !== undefined) return { digest: entry.digest, freshUntilMs: clock.now() - answer.ageMs + ttlMs }
    throw new OciError(
      'DENIED',
      `the policy of this cluster does not let the member that asked publish ${questionName(question)}`,
    )
  }

  #stale({ repository }: TagQuestion, { digest }: TagEntry, checkedMs: number, asked: boolean): MirroredTag {
    const upstream = upstreamOf(repository) ?? ''
    const freshUntilMs = this.#options.clock.now() + staleForMs
    return { digest, freshUntilMs, stale: { upstream, checkedMs, asked } }
  }
}

type Definite = Extract<Answer, { answer: 'there' | 'absent' }>
type Absent = Extract<Answer, { answer: 'absent' }>
