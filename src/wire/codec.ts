/** Deterministic CBOR (RFC 8949, 4.2.1) with a schema and a size limit: one value has one encoding, and no other is read. */
import { decode, encode, rfc8949EncodeOptions } from 'cborg'
import { MalformedError, TooLargeError } from './errors.ts'
import type { Schema } from './schema.ts'

export interface Codec<T> {
  readonly maxBytes: number
  /** Throws `TOO_LARGE` beyond the limit. The schema's own limits are checked by `decode` alone. */
  encode(value: T): Uint8Array
  /** Throws `MALFORMED` for whatever `encode` would not have written. */
  decode(bytes: Uint8Array): T
}

const decodeOptions = {
  strict: true,
  useMaps: true,
  rejectDuplicateMapKeys: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
}

export function codec<T>(schema: Schema<T>, { maxBytes }: { maxBytes: number }): Codec<T> {
  return {
    maxBytes,
    encode(value) {
      const bytes = encode(schema.write(value), rfc8949EncodeOptions)
      if (bytes.length > maxBytes) throw new TooLargeError(bytes.length, maxBytes)
      return bytes
    },
    decode(bytes) {
      if (bytes.length > maxBytes)
        throw new MalformedError(`${bytes.length} bytes; at most ${maxBytes} are allowed`)
      const raw = decodeAny(bytes)
      const value = schema.read(raw, '')
      // The decoder does not look at the order of keys, at float widths or at bad UTF-8; encoding again does.
      if (Buffer.compare(encode(raw, rfc8949EncodeOptions), bytes) !== 0) {
        throw new MalformedError('not in deterministic encoding')
      }
      return value
    },
  }
}

function decodeAny(bytes: Uint8Array): unknown {
  try {
    return decode(bytes, decodeOptions)
  } catch (cause) {
    // Whatever is thrown here is the input's doing, a stack overflow by deep nesting included.
    throw new MalformedError(`not CBOR: ${cause instanceof Error ? cause.message : 'unreadable'}`, { cause })
  }
}
