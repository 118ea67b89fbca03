/** What this node can answer without asking an upstream, and what answers look like: what was said, with the records that say it. */
import { type Clock, RecentMap } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import type { Ledger } from '../records/records.ts'
import { type Checks, lastCheckMs } from './checks.ts'
import type { ShortQuestion } from './delegates.ts'
import {
  type Answer,
  type Failure,
  type ManifestQuestion,
  questionName,
  type ReferrersQuestion,
  type TagQuestion,
} from './messages.ts'
import type { HeardList, ReferrerLists } from './referrer-lists.ts'

export interface KnownAnswersOptions {
  names: Ledger
  /** Whether this node has the manifest's bytes. */
  holds(digest: Digest): Promise<boolean>
  checks: Checks
  lists: ReferrerLists
  clock: Clock
  /** What records say of their time is read by it. */
  wall: Clock
}

/** How long "there is no such thing" is believed, and "not for you". */
export const absentMs = 30_000
const maxDenied = 1_000

export class KnownAnswers {
  readonly #options: KnownAnswersOptions
  /** By question, the oldest first. */
  readonly #denied = new RecentMap<string, { atMs: number; answer: Answer }>(maxDenied)

  constructor(options: KnownAnswersOptions) {
    this.#options = options
  }

  async find(question: ShortQuestion): Promise<Answer | undefined> {
    const denied = this.#denied.get(questionName(question))
    if (denied !== undefined && this.#options.clock.now() - denied.atMs < absentMs) return denied.answer
    if (question.about === 'tag') return this.#findTag(question)
    return question.about === 'manifest' ? this.#findManifest(question) : this.#findList(question)
  }

  /** Remembers that the upstream does not let this node have it. */
  denied(question: ShortQuestion, answer: Failure): void {
    this.#denied.set(questionName(question), { atMs: this.#options.clock.now(), answer })
  }

  there(question: TagQuestion | ManifestQuestion, digest: Digest, ageMs: number): Answer {
    const { names } = this.#options
    const { repository } = question
    const tagRecord =
      question.about === 'tag' ? names.findRecord({ kind: 'tag', repository, tag: question.tag }) : undefined
    const records = [...this.#manifestRecords(repository, [digest]), ...(tagRecord ? [tagRecord] : [])]
    return { answer: 'there', digest, ageMs: wholeMs(ageMs), records }
  }

  listed({ repository }: ReferrersQuestion, { atMs, digests }: HeardList): Answer {
    const records = this.#manifestRecords(repository, digests)
    return {
      answer: 'listed',
      digests: [...digests],
      ageMs: wholeMs(this.#options.clock.now() - atMs),
      records,
    }
  }

  async #findTag(question: TagQuestion): Promise<Answer | undefined> {
    const { names, checks, clock, wall } = this.#options
    const { repository, tag, maxAgeMs } = question
    const name = questionName(question)
    const standing = await names.findTag(repository, tag)
    const nowMs = clock.now()
    const times = { nowMs, wallMs: wall.now() }
    const ageMs = standing === undefined ? undefined : nowMs - lastCheckMs(standing, name, checks, times)
    const absentForMs = nowMs - (checks.heardMs(name, undefined) ?? Number.NEGATIVE_INFINITY)
    if (absentForMs < Math.min(absentMs, maxAgeMs) && absentForMs < (ageMs ?? Number.POSITIVE_INFINITY)) {
      return { answer: 'absent' }
    }
    if (standing === undefined || ageMs === undefined || ageMs >= maxAgeMs) return undefined
    return this.there(question, standing.digest, ageMs)
  }

  async #findManifest(question: ManifestQuestion): Promise<Answer | undefined> {
    const { names, checks, clock, holds } = this.#options
    const { repository, digest } = question
    const isPublished = (await names.findManifest(repository, digest)) !== undefined
    if (isPublished && (await holds(digest))) return this.there(question, digest, 0)
    const absentSinceMs = checks.heardMs(questionName(question), undefined)
    return absentSinceMs !== undefined && clock.now() - absentSinceMs < absentMs
      ? { answer: 'absent' }
      : undefined
  }

  #findList(question: ReferrersQuestion): Answer | undefined {
    const { lists, clock } = this.#options
    const heard = lists.find(questionName(question))
    const isFresh = heard !== undefined && clock.now() - heard.atMs < question.maxAgeMs
    return isFresh ? this.listed(question, heard) : undefined
  }

  #manifestRecords(repository: Repository, digests: readonly Digest[]): Uint8Array[] {
    return digests
      .map((digest) => this.#options.names.findRecord({ kind: 'manifest', repository, digest }))
      .filter((record) => record !== undefined)
  }
}

function wholeMs(ms: number): number {
  return Math.max(0, Math.floor(ms))
}
