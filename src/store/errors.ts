/** The ways in which a store refuses. */
import { CodedError, NodeStateError } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'

/** A manifest refers to what its repository does not hold. */
export class BlobMissingError extends CodedError {
  readonly code = 'BLOB_MISSING'
  readonly digests: Digest[]

  constructor(digests: Digest[]) {
    super(`the repository does not hold ${digests.join(', ')}`)
    this.digests = digests
  }
}

/** The disk, or its reserve, has no room. What was stored before is untouched. */
export class StoreFullError extends NodeStateError {
  readonly code = 'STORE_FULL'
}

/** A write to the database failed for another reason than room. It takes no more until it was opened again, by itself. */
export class DatabaseFaultError extends NodeStateError {
  readonly code = 'DATABASE_FAULT'
}

/** Whether the database, or the disk, takes nothing just now: for writes that reading can do without. */
export function takesNothing(error: unknown): boolean {
  return error instanceof StoreFullError || error instanceof DatabaseFaultError
}

/** Another process has the data directory. */
export class StoreLockedError extends CodedError {
  readonly code = 'STORE_LOCKED'
}

/** A blob's file is shorter than it was when it was proven: the disk lost bytes. */
export class BlobTruncatedError extends CodedError {
  readonly code = 'BLOB_TRUNCATED'
}

/** The disk gives other bytes for a blob than those that were proven, and it is moved away; or it was removed before they were. */
export class BlobRottenError extends CodedError {
  readonly code = 'BLOB_ROTTEN'
}

/** The worker thread that wrote an upload died. What arrived stays; the next append goes on with another. */
export class WorkerLostError extends CodedError {
  readonly code = 'WORKER_LOST'
}

/** A chunk does not start where the upload stands, or a later request took the upload over. */
export class UploadConflictError extends CodedError {
  readonly code = 'UPLOAD_CONFLICT'
  /** Where it stands, in bytes. */
  readonly offset: number

  /** Without `given`, it was taken over. */
  constructor(offset: number, given?: number) {
    super(
      given === undefined
        ? `a later request took the upload over; it stands at ${offset}`
        : `the chunk starts at ${given}, the upload stands at ${offset}`,
    )
    this.offset = offset
  }
}

/** Too many upload sessions, or too many bytes in one. */
export class UploadLimitError extends CodedError {
  readonly code = 'UPLOAD_LIMIT'
  readonly limit: 'sessions' | 'bytes'

  constructor(limit: 'sessions' | 'bytes', message: string) {
    super(message)
    this.limit = limit
  }
}

/** The session is gone: never made, finished, cancelled, expired, or another repository's. */
export class UploadUnknownError extends CodedError {
  readonly code = 'UPLOAD_UNKNOWN'
}
