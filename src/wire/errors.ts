/** The ways in which bytes from a peer are refused, and a channel fails. */
import { CodedError } from '../base/base.ts'

/** Bytes that are not what their schema says: wrong type, field, length, order of keys, or not CBOR at all. */
export class MalformedError extends CodedError {
  readonly code = 'MALFORMED'
}

/** A frame announces more bytes than its reader allows, or a value would be encoded into more than its readers take. */
export class TooLargeError extends CodedError {
  readonly code = 'TOO_LARGE'
  readonly bytes: number
  readonly maxBytes: number

  constructor(bytes: number, maxBytes: number) {
    super(`${bytes} bytes; at most ${maxBytes} are allowed`)
    this.bytes = bytes
    this.maxBytes = maxBytes
  }
}

/** The channel ended inside a frame, was reset by the peer, or was used after its end. */
export class ChannelBrokenError extends CodedError {
  readonly code = 'CHANNEL_BROKEN'
}

/** The signature does not belong to the author and the bytes. */
export class BadSignatureError extends CodedError {
  readonly code = 'BAD_SIGNATURE'
}
