/** Why something could not be had: as members tell each other, and as a client is told. */
import { CodedError } from '../base/base.ts'
import { OciError, type OciErrorCode } from '../oci/oci.ts'
import { UpstreamUnavailableError } from '../upstream/upstream.ts'
import { type Failure, failure, type Question, type Trouble, upstreamName } from './messages.ts'

const codes: Record<Trouble, OciErrorCode> = {
  unreachable: 'UNAVAILABLE',
  paused: 'TOOMANYREQUESTS',
  refused: 'UNAVAILABLE',
  denied: 'DENIED',
  wrong: 'UNAVAILABLE',
  unusable: 'UNAVAILABLE',
  unable: 'UNAVAILABLE',
}

/** What stopped this node when it asked an upstream. Throws what is nobody's fault but the program's. */
export function failureOf(question: Question, error: unknown): Failure {
  if (error instanceof UpstreamUnavailableError) {
    return failure(error.trouble, error.reason, error.retryAfterMs)
  }
  // A disk's own errors keep this node from bringing a blob, and no other.
  if (question.about === 'blob' && error instanceof Error && 'errno' in error) return unable(question, error)
  if (!(error instanceof CodedError)) throw error
  if (error instanceof OciError) return failure('unusable', `gives what is no manifest: ${error.message}`)
  switch (error.code) {
    case 'ORIGIN_FAILED':
      return failure('unreachable', 'broke off, or sent nothing any more')
    case 'BLOB_UNPROVEN':
      return failure('unusable', 'sent bytes that do not have the digest')
    case 'NOT_PERMITTED':
      return failure('denied', `is asked by a member that may not publish what it says: ${error.message}`)
    default:
      return unable(question, error)
  }
}

function unable({ about }: Question, error: Error): Failure {
  return failure('unable', `could not be asked for the ${about}: ${error.message}`)
}

/** A failure as a client is told it. */
export function refusalOf(question: Question, { trouble, reason, retryAfterMs }: Failure): OciError {
  const isNoManifest = trouble === 'unusable' && question.about !== 'blob'
  const code = isNoManifest ? 'MANIFEST_INVALID' : codes[trouble]
  return new OciError(code, `${upstreamName(question)} ${reason}`, { retryAfterMs })
}
