/** Media types: RFC 6838 names, and the ones that a registry treats specially. */
import { excerpt } from './digest.ts'
import { OciError } from './errors.ts'

/** A type and subtype in lowercase-insensitive form, without parameters, kept as it was given. */
export type MediaType = string & { readonly mediaType: unique symbol }

const pattern = /^[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}\/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}$/

const known = (text: string): MediaType => text as MediaType

export const mediaTypes = {
  ociManifest: known('application/vnd.oci.image.manifest.v1+json'),
  ociIndex: known('application/vnd.oci.image.index.v1+json'),
  ociEmpty: known('application/vnd.oci.empty.v1+json'),
  dockerManifest: known('application/vnd.docker.distribution.manifest.v2+json'),
  dockerList: known('application/vnd.docker.distribution.manifest.list.v2+json'),
  dockerSchema1: known('application/vnd.docker.distribution.manifest.v1+json'),
  dockerSchema1Signed: known('application/vnd.docker.distribution.manifest.v1+prettyjws'),
} as const

/** Throws `MANIFEST_INVALID`. */
export function parseMediaType(text: string): MediaType {
  if (pattern.test(text)) return text as MediaType
  throw new OciError(
    'MANIFEST_INVALID',
    `"${excerpt(text)}" is not a media type; expected type/subtype, such as ${mediaTypes.ociManifest}`,
  )
}

/** What an index lists and is no manifest: BuildKit's cache, as it was before it was an image, lists its layers and its config so. */
export function isBlobType(mediaType: string): boolean {
  return /^application\/vnd\.(?:oci\.image\.layer|docker\.image\.rootfs|buildkit\.cacheconfig)\./.test(
    mediaType,
  )
}

/** Layers that their licence keeps out of registries; they may be missing (image-spec, "Non-Distributable Layers"). */
export function isNonDistributable(mediaType: string): boolean {
  return mediaType.includes('.nondistributable.') || mediaType.includes('.rootfs.foreign.')
}
