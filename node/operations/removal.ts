/** What goes with a tag or a manifest that is removed: the records that would be left without a name. */
import { type Digest, mediaTypes, parseManifest, type Repository, type Tag } from '../../src/oci/oci.ts'
import { readManifest } from './image-content.ts'
import type { OperationContext } from './operations.ts'
import { walkManifests, walkReferrers } from './repository-walk.ts'

export interface Removal {
  tags: Tag[]
  manifests: Digest[]
}

/**
 * The closure of removing `tags` and `manifests`: with the last tag of a manifest goes the manifest; with a manifest its
 * tags, what it lists, and what refers to it, unless that has a tag or another index lists it.
 */
export async function planRemoval(
  context: OperationContext,
  repository: Repository,
  { tags, manifests }: Removal,
  signal: AbortSignal,
): Promise<Removal> {
  const { names } = context.node
  const goingTags = new Set(tags)
  const going = new Set<Digest>()
  const asked = new Set(manifests)
  const pending = [...manifests]
  for (const digest of manifests) for (const tag of await names.tagsOf(repository, digest)) goingTags.add(tag)
  for (const tag of tags) {
    const entry = await names.findTag(repository, tag)
    if (entry !== undefined) pending.push(entry.digest)
  }
  const listedBy = await readLists(context, repository, signal)
  // It grows meanwhile.
  for (const digest of pending) {
    signal.throwIfAborted()
    if (going.has(digest) || (await isNamed(digest))) continue
    going.add(digest)
    pending.push(...(listedBy.children.get(digest) ?? []))
    for await (const { digest: referrer } of walkReferrers(names, repository, digest)) pending.push(referrer)
  }
  return { tags: [...goingTags], manifests: [...going] }

  /** By a tag that stays, or by an index that does; what an index that cannot be read lists is unknown, and stays. */
  async function isNamed(digest: Digest): Promise<boolean> {
    if (asked.has(digest)) return false
    if ((await names.findManifest(repository, digest)) === undefined) return true
    const others = (await names.tagsOf(repository, digest)).filter((tag) => !goingTags.has(tag))
    if (others.length > 0) return true
    const parents = listedBy.parents.get(digest) ?? []
    if (parents.some((parent) => !going.has(parent))) return true
    return listedBy.unread.some((index) => index !== digest && !going.has(index))
  }
}

interface Lists {
  children: Map<Digest, Digest[]>
  parents: Map<Digest, Digest[]>
  /** Indexes that neither this node nor a member that it reaches can give. */
  unread: Digest[]
}

/** What each index of the repository lists. */
async function readLists(
  context: OperationContext,
  repository: Repository,
  signal: AbortSignal,
): Promise<Lists> {
  const lists: Lists = { children: new Map(), parents: new Map(), unread: [] }
  for await (const { digest, mediaType } of walkManifests(context.node.names, repository)) {
    signal.throwIfAborted()
    if (mediaType !== mediaTypes.ociIndex && mediaType !== mediaTypes.dockerList) continue
    const bytes = await readManifest(context, repository, digest, signal)
    if (bytes === undefined) {
      lists.unread.push(digest)
      continue
    }
    const children = parseManifest(bytes, mediaType).manifests.map((child) => child.digest)
    lists.children.set(digest, children)
    for (const child of children) {
      const parents = lists.parents.get(child)
      // Copies would cost the square of how many indexes list the same.
      if (parents === undefined) lists.parents.set(child, [digest])
      else parents.push(digest)
    }
  }
  return lists
}
