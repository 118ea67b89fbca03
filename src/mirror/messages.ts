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
export const maxQuestionBytes = 1024
export const maxAnswerBytes = maxRecords * maxRecordBytes + 1024

const repository = text<Repository>({ max: 255, parse: parseRepository })
const digest = text<Digest>({ max: 135, parse: parseDigest })
const reason = text({ max: maxReasonLength })

const questionSchema = variant('about', {
  /** What a tag points to, if that was not checked within the last `maxAgeMs`. */
  tag: struct({
    about: literal('tag'),
    repository,
    tag: text<Tag>({ max: 128, parse: parseTag }),
    maxAgeMs: uint(),
  }),
  manifest: struct({ about: literal('manifest'), repository, digest }),
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
  failed: struct({ answer: literal('failed'), reason, retryAfterMs: optional(uint()) }),
  /** The upstream asks to wait; another member would only add to what it has too much of. */
  limited: struct({ answer: literal('limited'), reason, retryAfterMs: optional(uint()) }),
  /** This member must not ask, or not publish the answer. */
  refused: struct({ answer: literal('refused'), reason }),
  /** What the upstream gives is nothing that a cluster could serve. */
  unusable: struct({ answer: literal('unusable'), reason }),
})

export type Question = Infer<typeof questionSchema>
export type TagQuestion = Extract<Question, { about: 'tag' }>
export type ManifestQuestion = Extract<Question, { about: 'manifest' }>
export type Answer = Infer<typeof answerSchema>

export const questionCodec = codec(questionSchema, { maxBytes: maxQuestionBytes })
export const answerCodec = codec(answerSchema, { maxBytes: maxAnswerBytes })

/** Unique to what is asked about, and what members are ranked for. */
export function questionName(question: Question): string {
  return question.about === 'tag'
    ? `${question.repository}:${question.tag}`
    : `${question.repository}@${question.digest}`
}

/** What comes from outside, made fit for an answer, a log and a client. */
export function reasonText(text: string): string {
  return excerpt(text, maxReasonLength - 1)
}
