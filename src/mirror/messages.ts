/** What members ask a delegate about an upstream, and what it answers: one protocol for tags, manifests, referrers and blobs. */
import { type Digest, excerpt, type Repository, upstreamOf } from '../oci/oci.ts'
import type { UpstreamTrouble } from '../upstream/upstream.ts'
import {
  bytes,
  codec,
  digestText,
  type Infer,
  list,
  literal,
  optional,
  repositoryText,
  struct,
  tagText,
  text,
  uint,
  variant,
} from '../wire/wire.ts'

/**
 * Beside those of an upstream:
 * - `unusable`: what the upstream gives is no manifest that a cluster could serve, or not the blob's bytes.
 * - `unable`: it is the delegate that cannot ask, whatever the upstream is like.
 */
export type Trouble = UpstreamTrouble | 'unusable' | 'unable'

const troubles: readonly Trouble[] = [
  'unreachable',
  'paused',
  'refused',
  'denied',
  'wrong',
  'unusable',
  'unable',
]
const maxReasonLength = 512
const maxRecordBytes = 64 * 1024
/** A tag's record and its manifest's. */
const maxRecords = 2
/** Of one manifest, in one answer. */
export const maxReferrers = 256
/** Of the records of all of them together. */
export const maxListedRecordBytes = 256 * 1024
/** No upstream is believed that wants to be left alone for longer, and no member that says so of one. */
const maxRetryAfterMs = 24 * 3_600_000

const maxQuestionBytes = 1024
const maxShortBytes = 1024
/** Of an answer, by what was asked about; of lists with the digests, those of sha512 among them. */
export const maxAnswerBytes: Readonly<Record<Question['about'], number>> = {
  tag: maxRecords * maxRecordBytes + maxShortBytes,
  manifest: maxRecords * maxRecordBytes + maxShortBytes,
  referrers: maxListedRecordBytes + maxReferrers * 160 + maxShortBytes,
  blob: maxShortBytes,
}

export const mirrorProtocol = '/shoal/mirror/1.0.0'
/** A host that starts pulls many images at once; each question takes a channel for as long as it is answered. */
export const mirrorLimits = { maxFrameBytes: maxAnswerBytes.referrers, maxInboundPerPeer: 160 }

const records = (max: number) => list(bytes({ max: maxRecordBytes }), { max })

/** `repository` is named as in the cluster, the upstream's name before it. */
const questionSchema = variant('about', {
  /** What a tag points to, if that was not checked within the last `maxAgeMs`. */
  tag: struct({ about: literal('tag'), repository: repositoryText, tag: tagText, maxAgeMs: uint() }),
  manifest: struct({ about: literal('manifest'), repository: repositoryText, digest: digestText }),
  /** Which manifests refer to this one, if that was not asked within the last `maxAgeMs`. */
  referrers: struct({
    about: literal('referrers'),
    repository: repositoryText,
    digest: digestText,
    maxAgeMs: uint(),
  }),
  /** Has it fetched by who is asked, for the whole cluster; whoever asks finds it in its swarm meanwhile. */
  blob: struct({ about: literal('blob'), repository: repositoryText, digest: digestText }),
})

const answerSchema = variant('answer', {
  /** The heartbeat: it is being worked on. Said again and again until something else is. */
  working: struct({ answer: literal('working') }),
  /** The upstream has it, as it said `ageMs` ago; the records say what it is. A blob is here, whole. */
  there: struct({
    answer: literal('there'),
    digest: digestText,
    ageMs: uint(),
    records: records(maxRecords),
  }),
  absent: struct({ answer: literal('absent') }),
  /** To a question about referrers: these, as the upstream said `ageMs` ago, in byte order, and their records. */
  listed: struct({
    answer: literal('listed'),
    digests: list(digestText, { max: maxReferrers }),
    ageMs: uint(),
    records: records(maxReferrers),
  }),
  /** `reason` goes on a sentence that begins with the upstream's name. */
  failed: struct({
    answer: literal('failed'),
    trouble: text<Trouble>({ max: 16, parse: parseTrouble }),
    reason: text({ max: maxReasonLength }),
    retryAfterMs: optional(uint({ max: maxRetryAfterMs })),
  }),
})

export type Question = Infer<typeof questionSchema>
export type TagQuestion = Extract<Question, { about: 'tag' }>
export type ManifestQuestion = Extract<Question, { about: 'manifest' }>
export type ReferrersQuestion = Extract<Question, { about: 'referrers' }>
export type BlobQuestion = Extract<Question, { about: 'blob' }>
export type Message = Infer<typeof answerSchema>
/** What ends a question. */
export type Answer = Exclude<Message, { answer: 'working' }>
export type Failure = Extract<Answer, { answer: 'failed' }>
/** What a question of this kind may be answered with. */
export type AnswerTo<Q extends Question> =
  | Failure
  | Extract<Answer, { answer: Q extends ReferrersQuestion ? 'listed' : 'there' | 'absent' }>

export const questionCodec = codec(questionSchema, { maxBytes: maxQuestionBytes })
export const answerCodec = codec(answerSchema, { maxBytes: maxAnswerBytes.referrers })

function parseTrouble(value: string): Trouble {
  const trouble = troubles.find((known) => known === value)
  if (trouble === undefined) throw new Error('no trouble that is known')
  return trouble
}

/** Unique to what is asked about, and what members are ranked for. A blob is the same in every repository. */
export function questionName(question: Question): string {
  if (question.about === 'tag') return `${question.repository}:${question.tag}`
  if (question.about === 'blob') return question.digest
  const name = `${question.repository}@${question.digest}`
  return question.about === 'manifest' ? name : `referrers of ${name}`
}

/** Of the upstream that the question is about. */
export function upstreamName({ repository }: { repository: Repository }): string {
  return upstreamOf(repository) ?? ''
}

/** Whether it can be the answer to that question; a member may send any. */
export function isAnswerTo<Q extends Question>(question: Q, answer: Answer): answer is AnswerTo<Q> {
  if (answer.answer === 'failed') return true
  if (answer.answer === 'there' && 'digest' in question && answer.digest !== question.digest) return false
  return (answer.answer === 'listed') === (question.about === 'referrers')
}

/** A blob that is here now. */
export function fetched(digest: Digest): Answer {
  return { answer: 'there', digest, ageMs: 0, records: [] }
}

/** What comes from anywhere, made fit for an answer, a log and a client. */
export function failure(trouble: Trouble, reason: string, retryAfterMs?: number): Failure {
  const text = excerpt(reason, maxReasonLength - 1)
  if (retryAfterMs === undefined) return { answer: 'failed', trouble, reason: text }
  const boundedMs = Math.min(Math.max(0, Math.ceil(retryAfterMs)), maxRetryAfterMs)
  return { answer: 'failed', trouble, reason: text, retryAfterMs: boundedMs }
}
