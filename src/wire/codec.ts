/** Deterministic CBOR (RFC 8949, 4.2.1) with a schema and a size limit: one value has one encoding, and no other is read. */
import { decode, encode, rfc8949EncodeOptions, type Token, Tokenizer, Type } from 'cborg'
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
      return schema.read(decodeAny(bytes), '')
    },
  }
}

function decodeAny(bytes: Uint8Array): unknown {
  try {
    const raw: unknown = decode(bytes, {
      ...decodeOptions,
      tokenizer: new StrictTokenizer(bytes, decodeOptions),
    })
    checkOrder(raw)
    return raw
  } catch (cause) {
    // Whatever is thrown here is the input's doing, a stack overflow by deep nesting included.
    throw new MalformedError(`not CBOR: ${cause instanceof Error ? cause.message : 'unreadable'}`, { cause })
  }
}

/** The decoder's strict mode covers lengths and integers; this covers floats, tags and text that is not UTF-8. */
class StrictTokenizer extends Tokenizer {
  override next(): Token {
    const token = super.next()
    if (Type.equals(token.type, Type.float) || Type.equals(token.type, Type.tag)) {
      throw new MalformedError('holds a float or a tag')
    }
    // Bad UTF-8 is read as the replacement character, which may also stand there by right.
    if (typeof token.value === 'string' && token.value.includes('\ufffd')) {
      const text = Buffer.from(token.value)
      if (Buffer.compare(text, this.data.subarray(this.pos() - text.length, this.pos())) !== 0) {
        throw new MalformedError('holds text that is not UTF-8')
      }
    }
    return token
  }
}

/** Keys of maps are text, in the order of their encodings: shorter ones first, then byte by byte. */
function checkOrder(raw: unknown): void {
  if (Array.isArray(raw)) {
    for (const entry of raw) checkOrder(entry)
  } else if (raw instanceof Map) {
    let previous: Buffer | undefined
    for (const [key, value] of raw) {
      if (typeof key !== 'string') throw new MalformedError('holds a key that is not text')
      const bytes = Buffer.from(key)
      if (
        previous !== undefined &&
        (previous.length - bytes.length || Buffer.compare(previous, bytes)) >= 0
      ) {
        throw new MalformedError('not in deterministic order')
      }
      previous = bytes
      checkOrder(value)
    }
  }
}
