/** The one place where an error becomes an answer: a status, the spec's JSON body, and never a stack trace. */
import { isClosing, isKnownState, type Logger } from '../base/base.ts'
import { OciError, type OciErrorCode } from '../oci/oci.ts'
import { leaveBody } from './body.ts'
import { ClientGoneError, type Exchange } from './exchange.ts'

/** `as` is the code that the client is shown, where the spec has a name of its own for it. */
const answers: Record<OciErrorCode, { status: number; as?: string }> = {
  BLOB_UNKNOWN: { status: 404 },
  BLOB_UPLOAD_INVALID: { status: 400 },
  BLOB_UPLOAD_UNKNOWN: { status: 404 },
  DENIED: { status: 403 },
  DIGEST_INVALID: { status: 400 },
  HOST_UNKNOWN: { status: 421, as: 'DENIED' },
  MANIFEST_BLOB_UNKNOWN: { status: 404 },
  MANIFEST_INVALID: { status: 400 },
  MANIFEST_TOO_LARGE: { status: 413, as: 'SIZE_INVALID' },
  MANIFEST_UNKNOWN: { status: 404 },
  METHOD_UNSUPPORTED: { status: 405, as: 'UNSUPPORTED' },
  NAME_INVALID: { status: 400 },
  NAME_UNKNOWN: { status: 404 },
  NO_SPACE: { status: 507 },
  PAGINATION_INVALID: { status: 400, as: 'PAGINATION_NUMBER_INVALID' },
  // Docker, podman and containerd give up at once on this pair; each of them repeats some other that would fit.
  QUOTA_EXCEEDED: { status: 413, as: 'DENIED' },
  RANGE_INVALID: { status: 416 },
  REQUEST_TIMEOUT: { status: 408, as: 'UNAVAILABLE' },
  SIZE_INVALID: { status: 413 },
  TAG_INVALID: { status: 400 },
  TOOMANYREQUESTS: { status: 429 },
  UNAUTHORIZED: { status: 401 },
  UNAVAILABLE: { status: 503 },
  UNSUPPORTED: { status: 405 },
}

/** For refusals that do not say when to come again, by status. */
const laterMs: Partial<Record<number, number>> = { 429: 1000, 503: 1000 }

export interface RefusalOptions {
  logger: Logger
  /** Makes of a message what a person reads. */
  inWords(message: string): string
  headers: Record<string, string>
}

export function sendRefusal(
  exchange: Exchange,
  error: unknown,
  { logger, inWords, headers }: RefusalOptions,
): void {
  const { request, response } = exchange
  if (error instanceof ClientGoneError) return
  if (response.headersSent) {
    // Half an answer is out: cut it, so that no client takes it for whole. The log of pulls says why.
    response.destroy()
    return
  }
  const refusal = error instanceof OciError ? error : failure(error, exchange, logger)
  if (request.socket.destroyed) return
  const { status, as } = answers[refusal.code]
  leaveBody(request, response)
  const { message, detail } = refusal
  const body = {
    errors: [
      { code: as ?? refusal.code, message: inWords(message), ...(detail === undefined ? {} : { detail }) },
    ],
  }
  // Docker repeats a push for 50 s after every 5xx but one whose status line has the system's words for a full disk.
  if (refusal.code === 'NO_SPACE') response.statusMessage = 'no space left on device'
  const { retryAfterMs = laterMs[status] } = refusal
  const later = retryAfterMs === undefined ? {} : { 'Retry-After': Math.ceil(retryAfterMs / 1000) }
  exchange.sendJson(status, body, { ...headers, ...later })
}

/** What is nobody's request but this node's fault, or cut off because it stops. */
function failure(error: unknown, { request }: Exchange, logger: Logger): OciError {
  if (isClosing(error))
    return new OciError('UNAVAILABLE', 'this node is stopping; ask again once it is back, or another one')
  if (isKnownState(error)) return new OciError('UNAVAILABLE', error.message)
  logger.error({ err: error, method: request.method, url: request.url }, 'request failed')
  return new OciError('UNAVAILABLE', 'this node failed to answer; its log says why')
}
