/** Content digests: parsing, and the parts of one (OCI image-spec, "Digests"). */
import { hash } from 'node:crypto'
import { OciError } from './errors.ts'

export type DigestAlgorithm = 'sha256' | 'sha512'

/** `sha256:` and 64, or `sha512:` and 128, lowercase hex digits; only `parseDigest` makes one from input. */
export type Digest = `${DigestAlgorithm}:${string}` & { readonly digest: unique symbol }

const pattern = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

export function isDigest(text: string): text is Digest {
  return pattern.test(text)
}

/** Throws `DIGEST_INVALID`. */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text
  throw new OciError(
    'DIGEST_INVALID',
    `"${excerpt(text)}" is not a digest; expected sha256: with 64 or sha512: with 128 lowercase hex digits`,
  )
}

/** Throws `DIGEST_INVALID`. */
export function parseAlgorithm(text: string): DigestAlgorithm {
  if (text === 'sha256' || text === 'sha512') return text
  throw new OciError('DIGEST_INVALID', `digest algorithm "${excerpt(text)}" is unknown; use sha256 or sha512`)
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256'
}

export function hexOf(digest: Digest): string {
  return digest.slice(7)
}

/** The digest of a whole small body; blobs are hashed as they stream. */
export function digestBytes(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${hash(algorithm, bytes, 'hex')}` as Digest
}

/** Input as it may be quoted in a message: short, and without control characters. */
export function excerpt(text: string, maxLength = 80): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to keep out of messages and logs
  const clean = text.replace(/[\u0000-\u001f\u007f]/g, '?')
  return clean.length <= maxLength ? clean : `${clean.slice(0, maxLength)}…`
}
