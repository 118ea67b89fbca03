/** The ways in which the exchange fails. */
import { CodedError } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'

/** No member that can be reached holds what is still missing of the blob. What came of it is kept. */
export class BlobUnavailableError extends CodedError {
  readonly code = 'BLOB_UNAVAILABLE'
  readonly digest: Digest

  /** Whether a member says that it holds it. */
  readonly isHeld: boolean

  /** `cause` is what a client should hear of; without one nobody has the rest, as far as this node can tell. */
  constructor(
    digest: Digest,
    reason: string,
    { isHeld = false, ...options }: { cause?: unknown; isHeld?: boolean } = {},
  ) {
    super(`${digest} cannot be had: ${reason}`, options)
    this.digest = digest
    this.isHeld = isHeld
  }
}

/** What was read so far came from pieces that matched their list, and the list turned out not to be the blob's. */
export class BlobUnprovenError extends CodedError {
  readonly code = 'BLOB_UNPROVEN'
  readonly digest: Digest

  constructor(digest: Digest, options?: { cause?: unknown }) {
    super(`the piece list of ${digest} was not the blob's: what was read of it is worthless`, options)
    this.digest = digest
  }
}

/** The origin of a blob failed: it stalled, ended early, or sent too much. */
export class OriginError extends CodedError {
  readonly code = 'ORIGIN_FAILED'
  readonly digest: Digest

  constructor(digest: Digest, reason: string) {
    super(`${digest} cannot be had from its origin: ${reason}`)
    this.digest = digest
  }
}

/** The exchange is closing. */
export class ExchangeClosedError extends CodedError {
  readonly code = 'EXCHANGE_CLOSED'
}
