/**
 * Tags by which clients name what belongs to a manifest, where a registry has no referrers API: cosign's signatures, attestations and
 * SBOMs, and the index of referrers (OCI distribution-spec 1.1, "Unavailable Referrers API").
 */
import { algorithmOf, type Digest, hexOf, isDigest } from './digest.ts'
import { parseTag, type Tag } from './reference.ts'

const suffixes = ['', '.sig', '.att', '.sbom']
/** A tag has 128 characters at most. */
const maxHex = 64

export function siblingTags(digest: Digest): Tag[] {
  const base = `${algorithmOf(digest)}-${hexOf(digest).slice(0, maxHex)}`
  return suffixes.map((suffix) => parseTag(base + suffix))
}

/** Of which manifest a tag is a sibling; `undefined` for others, and for those of digests that it does not name whole. */
export function siblingOf(tag: Tag): Digest | undefined {
  const [, hex] = /^sha256-([0-9a-f]{64})(?:\.(?:sig|att|sbom))?$/.exec(tag) ?? []
  const digest = `sha256:${hex ?? ''}`
  return isDigest(digest) ? digest : undefined
}
