/** What members ask each other of an upstream, and what they answer. */
import {
  type Digest,
  excerpt,
  parseDigest,
  parseRepository,
  parseTag,
  type Repository,
  type Tag,
} from '../oci/oci.ts'
import {
  bytes,
  codec,
  type Infer,
  list,
  literal,
  optional,
  struct,
  text,
  uint,
  variant,
} from '../wire/wire.ts'

const maxReasonLength = 512
const maxRecordBytes = 64 * 1024
/** A tag's record and its manifest's. */
const maxRecords = 2
/** Of one manifest, in one answer. */
export const maxReferrers = 256
/** Of the records of all of them together. */
export const maxListedRecordBytes = 256 * 1024
export const maxQuestionBytes = 1024
export const maxAnswerBytes = maxRecords * maxRecordBytes + 1024
/** With the digests, those of sha512 among them. */
export const maxListBytes = maxListedRecordBytes + maxReferrers * 160 + 1024

const repository = text<Repository>({ max: 255, parse: parseRepository })
const digest = text<Digest>({ max: 135, parse: parseDigest })
const reason = text({ max: maxReasonLength })
/** No upstream is believed that wants to be left alone for longer, and no member that says so of one. */
const retryAfterMs = optional(uint({ max: 24 * 3_600_000 }))

const questionSchema = variant('about', {
  /** What a tag points to, if that was not checked within the last `maxAgeMs`. */
  tag: struct({
    about: literal('tag'),
    repository,
    tag: text<Tag>({ max: 128, parse: parseTag }),
    maxAgeMs: uint(),
  }),
  manifest: struct({ about: literal('manifest'), repository, digest }),
  /** Which manifests refer to this one, if that was not asked within the last `maxAgeMs`. */
  referrers: struct({ about: literal('referrers'), repository, digest, maxAgeMs: uint() }),
})

const answerSchema = variant('answer', {
  /** The upstream has it, as it said `ageMs` ago; the records say what it is. */
  there: struct({
    answer: literal('there'),
    digest,
    ageMs: uint(),
    records: list(bytes({ max: maxRecordBytes }), { max: maxRecords }),
  }),
  absent: struct({ answer: literal('absent') }),
  /** To a question about referrers: these, as the upstream said `ageMs` ago, in byte order, and their records. */
  listed: struct({
    answer: literal('listed'),
    digests: list(digest, { max: maxReferrers }),
    ageMs: uint(),
    records: list(bytes({ max: maxRecordBytes }), { max: maxReferrers }),
  }),
  failed: struct({ answer: literal('failed'), reason, retryAfterMs }),
  /** The upstream asks to wait; another member would only add to what it has too much of. */
  limited: struct({ answer: literal('limited'), reason, retryAfterMs }),
  /** This member must not ask, or not publish the answer. */
  refused: struct({ answer: literal('refused'), reason }),
  /** What the upstream gives is nothing that a cluster could serve. */
  unusable: struct({ answer: literal('unusable'), reason }),
})

export type Question = Infer<typeof questionSchema>
export type TagQuestion = Extract<Question, { about: 'tag' }>
export type ManifestQuestion = Extract<Question, { about: 'manifest' }>
export type ReferrersQuestion = Extract<Question, { about: 'referrers' }>
export type Answer = Infer<typeof answerSchema>
/** An answer that brought nothing. */
export type Unanswered = Extract<Answer, { reason: string }>
/** What a question of this kind may be answered with. */
export type AnswerTo<Q extends Question> =
  | Unanswered
  | Extract<Answer, { answer: Q extends ReferrersQuestion ? 'listed' : 'there' | 'absent' }>

export const questionCodec = codec(questionSchema, { maxBytes: maxQuestionBytes })
export const answerCodec = codec(answerSchema, { maxBytes: maxListBytes })

/** Unique to what is asked about, and what members are ranked for. */
export function questionName(question: Question): string {
  if (question.about === 'tag') return `${question.repository}:${question.tag}`
  const name = `${question.repository}@${question.digest}`
  return question.about === 'manifest' ? name : `referrers of ${name}`
}

/** Whether it can be the answer to that question; a member may send any. */
export function isAnswerTo<Q extends Question>(question: Q, answer: Answer): answer is AnswerTo<Q> {
  if ('reason' in answer) return true
  return (answer.answer === 'listed') === (question.about === 'referrers')
}

/** What comes from outside, made fit for an answer, a log and a client. */
export function reasonText(text: string): string {
  return excerpt(text, maxReasonLength - 1)
}
