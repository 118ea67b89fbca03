/** The operation behind `shoal evict`: frees this host's copy of an image where others have one, and says who. */
import { CodedError } from '../../src/base/base.ts'
import { type Digest, OciError, parseManifest, type Repository, type Tag } from '../../src/oci/oci.ts'
import { isKept } from '../../src/placement/placement.ts'
import { formatImageName, parseImageName } from './image-name.ts'
import type { Operation, OperationContext } from './operations.ts'

export interface EvictedImage {
  image: string
  /** What went of this host's copy. */
  blobs: number
  bytes: number
  /** What other images here need, and is here still. */
  shared: number
  /** What was in use, and is here still. */
  inUse: number
  /** Members that have all of what went. */
  holders: string[]
  /** Whether its upstream can be asked for it again. */
  isMirrored: boolean
  /** How many members are to have it, and by which rule, where this host is one of them: it brings the copy back. */
  owed?: { copies: number; rule: string }
}

/** What is here alone would be lost, or a keep rule would bring it back. */
class EvictionRefusedError extends CodedError {
  readonly code = 'EVICTION_REFUSED'
}

const askHoldersMs = 2_000
const mostManifests = 512
/** Who is asked to keep it; one is enough. */
const mostHolders = 64

export const evictImages: Operation<'evict'> = async (context, { images, force }, _emit, { signal }) => {
  const evicted: EvictedImage[] = []
  for (const image of images) evicted.push(await evictImage(context, image, force, signal))
  return { images: evicted }
}

async function evictImage(
  context: OperationContext,
  name: string,
  force: boolean,
  signal: AbortSignal,
): Promise<EvictedImage> {
  const { node, registry, member, copies } = context
  const { store, names, keepRules } = node
  const { repository, reference = { tag: 'latest' as Tag } } = parseImageName(name)
  const image = formatImageName(repository, reference)
  const root = 'tag' in reference ? await names.findTag(repository, reference.tag) : reference
  if (root === undefined) throw new OciError('MANIFEST_UNKNOWN', `${image} is not known here`)
  if (!force && (await isKept(names, keepRules.list(), repository, root.digest)))
    throw new EvictionRefusedError(
      `a keep rule holds ${image} and would bring it back; end the rule with shoal keep rm, or give --force`,
    )
  const { manifests, blobs } = await copyOf(context, repository, root.digest)
  const own: Digest[] = []
  for (const digest of blobs) if (!(await isShared(context, digest, manifests))) own.push(digest)
  const shared = blobs.size - own.length
  const isMirrored = await registry.outside.canBringAgain(repository, root.digest)
  const holdersOf = new Map<Digest, string[]>()
  for (const digest of own) {
    // Who has not answered by then is not counted on.
    const asked = { withinMs: askHoldersMs, signal }
    holdersOf.set(digest, (await member?.exchange.seeders({ digest, repository }, asked)) ?? [])
  }
  const lone = own.filter((digest) => holdersOf.get(digest)?.length === 0)
  if (lone.length > 0 && !isMirrored && !force)
    throw new EvictionRefusedError(
      `${image} has ${lone.length} of ${own.length} blobs that no member which answers has, such as ${lone[0]}: pull it on another host first, or give --force to lose them`,
    )
  const result: EvictedImage = { image, blobs: 0, bytes: 0, shared, inUse: 0, holders: [], isMirrored }
  const owed = await copies?.duty({ repository, digest: root.digest })
  if (owed !== undefined) result.owed = owed
  const [first = [], ...rest] = holdersOf.values()
  result.holders = first.filter((peer) => rest.every((peers) => peers.includes(peer)))
  if (own.length > 0 && !isMirrored && !force) {
    // Whoever is about to free its own as well says no: run on all hosts at once, it must not count one on the other.
    const peers = [...new Set([...holdersOf.values()].flat())].slice(0, mostHolders)
    const asked = { repository, digest: root.digest }
    const staying = (await copies?.askToStay(asked, peers, { signal })) ?? []
    if (staying.length === 0)
      throw new EvictionRefusedError(
        `no member with blobs of ${image} says that it has all of it, signatures included, and keeps it: try again in a minute if it is freed elsewhere now, pull it on another host first, or give --force`,
      )
  }
  for (const digest of own) {
    const bytes = await store.room.evict(digest)
    if (bytes === undefined) result.inUse++
    else {
      result.blobs++
      result.bytes += bytes
    }
  }
  return result
}

/** What of the image is here. */
async function copyOf(
  { node: { store, names } }: OperationContext,
  repository: Repository,
  root: Digest,
): Promise<{ manifests: Set<Digest>; blobs: Set<Digest> }> {
  const manifests = new Set<Digest>([root])
  const blobs = new Set<Digest>()
  for (const digest of manifests) {
    if (manifests.size > mostManifests) break
    const bytes = await store.manifests.get(digest)
    const entry = bytes === undefined ? undefined : await names.findManifest(repository, digest)
    if (bytes === undefined || entry === undefined) continue
    const parsed = parseManifest(bytes, entry.mediaType)
    for (const child of parsed.manifests) manifests.add(child.digest)
    for (const blob of parsed.blobs)
      if ((await store.blobs.stat(blob.digest)) !== undefined) blobs.add(blob.digest)
  }
  return { manifests, blobs }
}

/** Whether another image that is here needs the blob. */
async function isShared(
  { node: { store } }: OperationContext,
  digest: Digest,
  manifests: ReadonlySet<Digest>,
): Promise<boolean> {
  for await (const { manifest } of store.room.referrersOf(digest)) if (!manifests.has(manifest)) return true
  return false
}
