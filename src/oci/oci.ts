/** The OCI vocabulary as pure code: digests, references, media types, manifests, ranges and error codes. */
export {
  algorithmOf,
  type Digest,
  type DigestAlgorithm,
  digestBytes,
  excerpt,
  hexOf,
  isDigest,
  parseAlgorithm,
  parseDigest,
} from './digest.ts'
export { isUnavailable, OciError, type OciErrorCode } from './errors.ts'
export { type Json, type JsonObject, parseJson } from './json.ts'
export {
  type ChildDescriptor,
  type Descriptor,
  manifestFacts,
  maxAbsent,
  maxManifestBytes,
  mayBeMissing,
  type ParsedManifest,
  parseManifest,
} from './manifest.ts'
export { isBlobType, type MediaType, mediaTypes, parseMediaType } from './media-type.ts'
export {
  type MirrorWord,
  type NameContext,
  type NameMeaning,
  parseMirroredName,
  upstreamOf,
  withoutUpstream,
} from './mirrored-name.ts'
export { fitsPlatform, formatPlatform, type Platform, parsePlatform } from './platform.ts'
export { type ByteRange, parseContentRange, parseRanges, type RangesOf, satisfiableRanges } from './range.ts'
export {
  parseReference,
  parseRepository,
  parseTag,
  type Reference,
  type Repository,
  type Tag,
} from './reference.ts'
export { siblingOf, siblingTags } from './sibling-tags.ts'
