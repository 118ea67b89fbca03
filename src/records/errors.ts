/** The ways in which a ledger refuses a write. */
import { CodedError } from '../base/base.ts'

/** This node may not write that key. The message is the rule in words, fit for the client. */
export class NotPermittedError extends CodedError {
  readonly code = 'NOT_PERMITTED'
  /** The rule in words. */
  readonly rule: string

  constructor(rule: string) {
    super(rule)
    this.rule = rule
  }
}

/** This node's clock is so far from the members' that nothing is signed with it. The message says how far, and what would do. */
export class ClockWrongError extends CodedError {
  readonly code = 'CLOCK_WRONG'
}

/** A record would be longer than every node accepts; annotations are what makes one long. */
export class RecordTooLargeError extends CodedError {
  readonly code = 'RECORD_TOO_LARGE'
  readonly bytes: number
  readonly maxBytes: number

  constructor(bytes: number, maxBytes: number) {
    super(`the record would be ${bytes} bytes; at most ${maxBytes} are allowed`)
    this.bytes = bytes
    this.maxBytes = maxBytes
  }
}

/** A peer did what no honest node does; it may be cut off. */
export class PeerMisbehavedError extends CodedError {
  readonly code = 'PEER_MISBEHAVED'

  constructor(what: string, cause?: unknown) {
    super(`the peer ${what}`, cause === undefined ? {} : { cause })
  }
}
