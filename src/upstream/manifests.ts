/** Manifests as an upstream answers them: what a HEAD tells, and bytes that are what they are said to be. */
import {
  algorithmOf,
  type Digest,
  digestBytes,
  isDigest,
  mediaTypes,
  OciError,
  parseManifest,
  type Reference,
} from '../oci/oci.ts'
import type { Availability } from './availability.ts'
import type { AnswerHeaders } from './transport.ts'
import type { UpstreamManifest } from './upstream.ts'

/** Everything that a manifest may be; some registries convert to what stands here first, and none knows how to without it. */
export const acceptManifests = [
  mediaTypes.ociIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerList,
  mediaTypes.dockerManifest,
  'application/vnd.oci.artifact.manifest.v1+json',
  '*/*',
].join(', ')

/** Types that say nothing of what a document is. */
const vague = new Set(['', 'application/json', 'application/octet-stream', 'text/plain'])

/** `undefined` where the head leaves something out, as some registries do. */
export function readManifestHead(
  headers: AnswerHeaders,
  reference: Reference,
): { digest: Digest; mediaType: string; size: number } | undefined {
  const digest = 'digest' in reference ? reference.digest : claimedDigest(headers)
  const mediaType = mediaTypeOf(headers)
  const size = lengthOf(headers)
  if (digest === undefined || mediaType === undefined || size === undefined) return undefined
  return { digest, mediaType, size }
}

/**
 * The bytes under the digest that they were asked for by. Those of a tag have the digest that they hash to, and where the
 * upstream says another one, something on the way has changed them. Throws UpstreamUnavailableError.
 */
export function checkManifest(
  bytes: Uint8Array,
  headers: AnswerHeaders,
  reference: Reference,
  availability: Availability,
): UpstreamManifest {
  const expected = 'digest' in reference ? reference.digest : claimedDigest(headers)
  const digest = digestBytes(bytes, expected === undefined ? 'sha256' : algorithmOf(expected))
  if (expected !== undefined && digest !== expected) {
    throw availability.trouble('wrong', `gave a manifest that hashes to ${digest} as ${expected}`)
  }
  try {
    return { digest, mediaType: parseManifest(bytes, mediaTypeOf(headers)).mediaType, bytes }
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    throw availability.trouble('wrong', `gave a manifest that is none: ${error.message}`, { cause: error })
  }
}

/** Only ever a hint. */
function claimedDigest(headers: AnswerHeaders): Digest | undefined {
  const claimed = headers['docker-content-digest']
  return claimed !== undefined && isDigest(claimed) ? claimed : undefined
}

/** `undefined` for what says nothing of a manifest, so that the manifest itself has to. */
export function mediaTypeOf(headers: AnswerHeaders): string | undefined {
  const type = headers['content-type']?.split(';', 1)[0]?.trim() ?? ''
  return vague.has(type.toLowerCase()) ? undefined : type
}

/** A length that is a number of bytes. */
export function lengthOf(headers: AnswerHeaders): number | undefined {
  const text = headers['content-length'] ?? ''
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
