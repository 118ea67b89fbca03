/**
 * Signed envelopes: `author (32) ‖ signature (64) ‖ body`, with an Ed25519 signature over `domain ‖ author ‖ body`.
 * The domain ends in a zero byte and names what the body is, so that no signature can be used for anything else.
 */
import { hash, verify } from 'node:crypto'
import { BadSignatureError, MalformedError } from './errors.ts'
import { type Identity, publicKeyObject } from './identity.ts'
import { Recent } from './recent.ts'

export interface Envelope {
  /** The raw public key of 32 bytes that the envelope claims. Nothing is proven until it was verified. */
  author: Uint8Array
  body: Uint8Array
  /** The whole envelope. */
  bytes: Uint8Array
  /** SHA-256 of `bytes`. */
  hash: Uint8Array
}

export interface Verifier {
  /** Resolves when the signature is right; throws `BAD_SIGNATURE`. Runs off the main thread. */
  verify(envelope: Envelope): Promise<void>
}

const authorBytes = 32
const signatureBytes = 64

/** What an envelope adds to its body. */
export const envelopeOverhead = authorBytes + signatureBytes

export function seal(domain: string, body: Uint8Array, identity: Identity): Uint8Array {
  const signature = identity.sign(signedBytes(domain, identity.publicKey, body))
  return concat([identity.publicKey, signature, body])
}

/** Takes an envelope apart without judging its signature. Throws `MALFORMED`. */
export function unseal(bytes: Uint8Array): Envelope {
  if (bytes.length <= envelopeOverhead) throw new MalformedError('shorter than an author and a signature')
  const author = bytes.subarray(0, authorBytes)
  return { author, body: bytes.subarray(envelopeOverhead), bytes, hash: hash('sha256', bytes, 'buffer') }
}

/** A verifier that remembers at least the last `maxRemembered` (default 8,192) envelopes that it found right. */
export function createVerifier(domain: string, options: { maxRemembered?: number } = {}): Verifier {
  const { maxRemembered = 8192 } = options
  const right = new Recent(maxRemembered)
  return {
    async verify(envelope) {
      const name = Buffer.from(envelope.hash.buffer, envelope.hash.byteOffset, 32).toString('latin1')
      if (right.has(name)) return
      if (!(await check(domain, envelope))) {
        throw new BadSignatureError('the signature does not belong to this author and these bytes')
      }
      right.add(name)
    },
  }
}

function check(domain: string, { author, body, bytes }: Envelope): Promise<boolean> {
  const signature = bytes.subarray(authorBytes, envelopeOverhead)
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: boolean): void =>
      error === null ? resolve(result) : reject(error)
    verify(null, signedBytes(domain, author, body), publicKeyObject(author), signature, done)
  })
}

const prefixes = new Map<string, Uint8Array>()

/** Domains are constants of this program, so there are few. */
function prefixOf(domain: string): Uint8Array {
  const known = prefixes.get(domain)
  if (known !== undefined) return known
  const prefix = Buffer.from(domain, 'latin1')
  prefixes.set(domain, prefix)
  return prefix
}

function signedBytes(domain: string, author: Uint8Array, body: Uint8Array): Uint8Array {
  return Buffer.concat([prefixOf(domain), author, body])
}

/** Memory of its own and not Buffer's pool: a stored record must not keep 8 KiB alive. */
function concat(parts: Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
