/** The one place where what the store and the ledger refuse becomes what a client is told. */
import { CodedError } from '../base/base.ts'
import { OciError, type OciErrorCode } from '../oci/oci.ts'
import { BlobMissingError, UploadConflictError, UploadLimitError } from '../store/store.ts'

const plain: Record<string, OciErrorCode> = {
  STORE_FULL: 'NO_SPACE',
  UPLOAD_UNKNOWN: 'BLOB_UPLOAD_UNKNOWN',
  NOT_PERMITTED: 'DENIED',
  RECORD_TOO_LARGE: 'SIZE_INVALID',
  DATABASE_FAULT: 'UNAVAILABLE',
  BLOB_UNPROVEN: 'UNAVAILABLE',
  BLOB_UNAVAILABLE: 'UNAVAILABLE',
}

/** By then some upload may have ended, or stood still for long enough to give way. */
const uploadRetryMs = 30_000

/** A clock is set by a person, or by a service that steps it within minutes. */
const clockRetryMs = 60_000

/** The refusal for a known error, or the error itself. */
export function refusalOf(error: unknown): unknown {
  if (!(error instanceof CodedError) || error instanceof OciError) return error
  if (error instanceof BlobMissingError) {
    return new OciError(
      'MANIFEST_BLOB_UNKNOWN',
      `the manifest refers to ${error.digests.length === 1 ? 'a digest' : `${error.digests.length} digests`} that the repository does not hold; push what it refers to first`,
      { detail: error.digests.map((digest) => ({ digest })), cause: error },
    )
  }
  if (error instanceof UploadConflictError) {
    return new OciError('RANGE_INVALID', error.message, { detail: { offset: error.offset }, cause: error })
  }
  if (error instanceof UploadLimitError) {
    return error.limit === 'bytes'
      ? new OciError('SIZE_INVALID', error.message, { cause: error })
      : new OciError('TOOMANYREQUESTS', error.message, { retryAfterMs: uploadRetryMs, cause: error })
  }
  if (error.code === 'CLOCK_WRONG') {
    return new OciError('UNAVAILABLE', error.message, { cause: error, retryAfterMs: clockRetryMs })
  }
  const code = plain[error.code]
  return code === undefined ? error : new OciError(code, error.message, { cause: error })
}

type Asking = (...args: never[]) => Promise<unknown>

/** The same functions; what they throw is what a client is told. */
export function inClientsWords<T extends { [K in keyof T]: Asking }>(part: T): T {
  const telling = (ask: Asking): Asking => {
    return async (...args) => {
      try {
        return await ask(...args)
      } catch (error) {
        throw refusalOf(error)
      }
    }
  }
  return Object.fromEntries(
    Object.entries<Asking>(part).map(([name, ask]) => [name, telling(ask)]),
  ) as unknown as T
}
