/** What a client is told when a request cannot be met: the spec's codes, and a message that says what would do. */
import { CodedError } from '../base/base.ts'

/** OCI distribution-spec 1.1, "Error Codes"; those that other registries added complete it. */
export type OciErrorCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'HOST_UNKNOWN'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_TOO_LARGE'
  | 'MANIFEST_UNKNOWN'
  | 'METHOD_UNSUPPORTED'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'NO_SPACE'
  | 'PAGINATION_INVALID'
  | 'QUOTA_EXCEEDED'
  | 'RANGE_INVALID'
  | 'REQUEST_TIMEOUT'
  | 'SIZE_INVALID'
  | 'TAG_INVALID'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNAVAILABLE'
  | 'UNSUPPORTED'

interface OciErrorOptions {
  /** Shown to the client beside the message. */
  detail?: unknown
  /** After which time it is worth asking again. */
  retryAfterMs?: number | undefined
  cause?: unknown
}

/** A request that is refused. */
export class OciError extends CodedError {
  readonly code: OciErrorCode
  readonly detail: unknown
  readonly retryAfterMs: number | undefined

  constructor(code: OciErrorCode, message: string, options: OciErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.detail = options.detail
    this.retryAfterMs = options.retryAfterMs
  }
}

/** Whether it is refused for now alone: something that is needed does not answer, or asks to wait. */
export function isUnavailable(error: unknown): error is OciError {
  return error instanceof OciError && (error.code === 'UNAVAILABLE' || error.code === 'TOOMANYREQUESTS')
}
