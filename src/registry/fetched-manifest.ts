/** A manifest that a member gave: stored here, with what it refers to readable through its repository. */
import { type Digest, parseManifest, type Repository } from '../oci/oci.ts'
import type { Collaborators } from './registry.ts'

/** The bytes are proven by the caller. What they refer to need not be here yet; it comes when it is asked for. */
export async function keepFetchedManifest(
  { store, elsewhere }: Pick<Collaborators, 'store' | 'elsewhere'>,
  repository: Repository,
  { digest, mediaType, bytes }: { digest: Digest; mediaType: string; bytes: Uint8Array },
): Promise<void> {
  const { blobs, manifests } = parseManifest(bytes, mediaType)
  const references = [...new Set([...blobs, ...manifests].map((descriptor) => descriptor.digest))]
  await store.manifests.put({ repository, digest, bytes, references, required: [] })
  await store.links.add(repository, references)
  elsewhere.announce([digest])
  // Whoever pulls a manifest wants its layers next.
  elsewhere.prefetch(
    repository,
    blobs.map((blob) => blob.digest),
  )
}
