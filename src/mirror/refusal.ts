/** An answer that brought nothing, as a client is told it. */
import { OciError, type OciErrorCode } from '../oci/oci.ts'
import type { Unanswered } from './messages.ts'

const codes: Record<Unanswered['answer'], OciErrorCode> = {
  failed: 'UNAVAILABLE',
  limited: 'TOOMANYREQUESTS',
  refused: 'DENIED',
  unusable: 'MANIFEST_INVALID',
}

export function refusalOf(unanswered: Unanswered): OciError {
  const retryAfterMs = 'retryAfterMs' in unanswered ? unanswered.retryAfterMs : undefined
  return new OciError(codes[unanswered.answer], unanswered.reason, { retryAfterMs })
}
