/** Why an upstream could not be asked, for those who serve something older, try another member, or tell a client. */
import { CodedError } from '../base/base.ts'

/**
 * - `unreachable`: no connection, or no answer in time.
 * - `paused`: it asked to wait, or answers that it is overloaded.
 * - `refused`: it does not take the credentials that are configured, or wants them sent where they do not belong.
 * - `denied`: it does not say whether there is such a thing to one who may not read it; others may be had.
 * - `wrong`: its answer is an error of its own, or makes no sense.
 */
export type UpstreamTrouble = 'unreachable' | 'paused' | 'refused' | 'denied' | 'wrong'

/** Nothing can be had from an upstream now. The message names it and says why, and holds no secret. */
export class UpstreamUnavailableError extends CodedError {
  readonly code = 'UPSTREAM_UNAVAILABLE'
  readonly upstream: string
  readonly trouble: UpstreamTrouble
  /** The reason alone, as a part of a sentence. */
  readonly reason: string
  /** No request is sent before that much time has passed. */
  readonly retryAfterMs: number | undefined

  constructor(
    upstream: string,
    trouble: UpstreamTrouble,
    reason: string,
    options: { retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(`${upstream} ${reason}`, options)
    this.upstream = upstream
    this.trouble = trouble
    this.reason = reason
    this.retryAfterMs = options.retryAfterMs
  }
}
