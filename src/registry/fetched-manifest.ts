/** A manifest that was pushed elsewhere: stored here, with what it refers to readable through its repository. */
import { type Digest, mayBeMissing, type ParsedManifest, parseManifest, type Repository } from '../oci/oci.ts'
import type { Collaborators } from './registry.ts'

interface FetchedManifest {
  digest: Digest
  mediaType: string
  bytes: Uint8Array
  /** What was missing when it was pushed. */
  absent?: readonly Digest[]
}

interface Keepers {
  store: Pick<Collaborators['store'], 'manifests' | 'links'>
  elsewhere: Pick<Collaborators['elsewhere'], 'announce'>
}

/** The bytes are proven by the caller. What they refer to need not be here yet; it comes when it is asked for. */
export async function keepManifest(
  { store, elsewhere }: Keepers,
  repository: Repository,
  { digest, mediaType, bytes, absent = [] }: FetchedManifest,
): Promise<ParsedManifest> {
  const manifest = parseManifest(bytes, mediaType)
  const { blobs, manifests } = manifest
  const descriptors = [...blobs, ...manifests]
  const references = [...new Set(descriptors.map((descriptor) => descriptor.digest))]
  // Of these nobody has seen to it that who pushed had them to read: members that let the repository read them say so later.
  const unproven = new Set([
    ...absent,
    ...descriptors.filter(mayBeMissing).map((descriptor) => descriptor.digest),
  ])
  const readable = references.filter((reference) => !unproven.has(reference))
  await store.manifests.put({ repository, digest, bytes, references, required: [] })
  await store.links.add(repository, readable)
  elsewhere.announce([digest])
  return manifest
}
