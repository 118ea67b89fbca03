/** What the manifests that are here say of a blob's size: for a blob that is not, and of which members may say anything. */
import { type Digest, OciError, parseManifest, type Repository } from '../oci/oci.ts'
import type { Collaborators } from './registry.ts'

/** So many manifests are read; what they say of one blob is mostly the same. */
const maxManifests = 16

export async function toldSizes(
  {
    store: { manifests },
    names,
  }: Pick<Collaborators, 'names'> & { store: Pick<Collaborators['store'], 'manifests'> },
  repository: Repository,
  digest: Digest,
): Promise<number[]> {
  const sizes = new Set<number>()
  let read = 0
  for await (const parent of manifests.referringTo(repository, digest)) {
    if (++read > maxManifests) break
    const bytes = await manifests.get(parent)
    if (bytes === undefined) continue
    const mediaType = (await names.findManifest(repository, parent))?.mediaType
    for (const blob of blobsOf(bytes, mediaType)) if (blob.digest === digest) sizes.add(blob.size)
  }
  return [...sizes]
}

function blobsOf(bytes: Uint8Array, mediaType: string | undefined) {
  try {
    return parseManifest(bytes, mediaType).blobs
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    return []
  }
}
