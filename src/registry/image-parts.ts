/** What an image consists of, with how large each part is, as far as its manifests can be read. */
import {
  type Descriptor,
  type Digest,
  mayBeMissing,
  OciError,
  type ParsedManifest,
  parseManifest,
} from '../oci/oci.ts'
import type { Store } from '../store/store.ts'
import type { Part } from './quota-tally.ts'

export interface ImageParts {
  parts: Part[]
  /** Of manifests that could not be read. */
  missing: Digest[]
}

interface PartsOptions {
  store: Pick<Store, 'blobs'>
  /** `undefined` for what is not to be had. */
  read(digest: Digest): Promise<Uint8Array | undefined>
}

/** No image has more; an index of indexes could. */
const mostManifests = 512

/** Each part once. What a blob's file says of its size counts before what a manifest says. */
export async function imagePartsOf(
  root: { digest: Digest; mediaType: string; size: number },
  { store, read }: PartsOptions,
): Promise<ImageParts> {
  const parts = new Map<Digest, number>([[root.digest, root.size]])
  const missing: Digest[] = []
  const waiting: Descriptor[] = [root]
  for (let count = 0; waiting.length > 0 && count < mostManifests; count++) {
    const next = waiting.shift()
    if (next === undefined) break
    const manifest = readable(await read(next.digest), next.mediaType)
    if (manifest === undefined) missing.push(next.digest)
    for (const blob of manifest?.blobs ?? []) {
      if (parts.has(blob.digest)) continue
      const here = await store.blobs.stat(blob.digest)
      parts.set(blob.digest, here?.size ?? (mayBeMissing(blob) ? 0 : blob.size))
    }
    for (const child of manifest?.manifests ?? []) {
      if (parts.has(child.digest)) continue
      parts.set(child.digest, child.size)
      waiting.push(child)
    }
  }
  return { parts: [...parts].map(([digest, bytes]) => ({ digest, bytes })), missing }
}

/** A child that an index names by a type that it does not have is no image. */
function readable(bytes: Uint8Array | undefined, mediaType: string): ParsedManifest | undefined {
  try {
    return bytes && parseManifest(bytes, mediaType)
  } catch (error) {
    if (error instanceof OciError) return undefined
    throw error
  }
}
