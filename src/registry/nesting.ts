/** How much an index may reach through the indexes that it lists. */
import {
  type Digest,
  maxManifestBytes,
  mediaTypes,
  OciError,
  type ParsedManifest,
  parseManifest,
} from '../oci/oci.ts'
import type { Manifests } from '../store/store.ts'

/** An index of indexes of indexes is more than any tool makes; deeper ones are bombs. */
const maxIndexDepth = 4
/** How many nested indexes one PUT may make this node read. */
const maxIndexReads = 256
/** And how many bytes of them: a small PUT must not hold the event loop for longer than the largest does. */
const maxIndexReadBytes = maxManifestBytes

/** Breadth first through the nested indexes that are stored here; each is read once. Throws `MANIFEST_INVALID`. */
export async function checkNesting(stored: Pick<Manifests, 'get'>, manifest: ParsedManifest): Promise<void> {
  const seen = new Set<Digest>()
  let bytesRead = 0
  let level = manifest.manifests.filter(isIndex)
  for (let depth = 2; level.length > 0; depth++) {
    if (depth > maxIndexDepth) {
      throw new OciError('MANIFEST_INVALID', `indexes are nested deeper than ${maxIndexDepth} levels`)
    }
    const next: ParsedManifest['manifests'] = []
    for (const { digest, mediaType } of level) {
      if (seen.has(digest)) continue
      seen.add(digest)
      if (seen.size > maxIndexReads) {
        throw new OciError('MANIFEST_INVALID', `it reaches more than ${maxIndexReads} nested indexes`)
      }
      const bytes = await stored.get(digest)
      if (bytes === undefined) continue
      bytesRead += bytes.length
      if (bytesRead > maxIndexReadBytes) {
        throw new OciError(
          'MANIFEST_INVALID',
          `it reaches more than ${maxIndexReadBytes} bytes of nested indexes`,
        )
      }
      next.push(...parseManifest(bytes, mediaType).manifests.filter(isIndex))
    }
    level = next
  }
}

function isIndex({ mediaType }: { mediaType: string }): boolean {
  return mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList
}
