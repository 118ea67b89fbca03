/** What an image consists of, as far as it is small: read here, or from a member. */
import { type Descriptor, type Digest, maxManifestBytes, type Repository } from '../../src/oci/oci.ts'
import { nowhere } from '../../src/registry/registry.ts'
import { copies, readUpTo } from '../chunks.ts'
import type { OperationContext } from './operations.ts'

/** From the store or from a member, without keeping it: whoever looks at an image does not want its layers. */
export async function readManifest(
  { node, member }: OperationContext,
  repository: Repository,
  digest: Digest,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const here = await node.store.manifests.get(digest)
  return here ?? (await (member?.elsewhere ?? nowhere).fetchManifest(repository, digest, { signal }))
}

/** A config and the like. One that is elsewhere is brought here; `undefined` when nobody has it, or it is not small. */
export async function readSmallBlob(
  { node, member }: OperationContext,
  repository: Repository,
  { digest, size }: Descriptor,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  if (size > maxManifestBytes) return undefined
  const here = await node.store.blobs.open(digest)
  const found = here ?? (await (member?.elsewhere ?? nowhere).openBlob(repository, digest, { signal }))
  if (found === undefined) return undefined
  await using blob = found
  // The descriptor's size is its author's word.
  if (blob.size > maxManifestBytes) return undefined
  return await readUpTo(copies(blob.chunks(0, blob.size, { signal })), maxManifestBytes)
}
