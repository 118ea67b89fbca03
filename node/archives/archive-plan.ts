/** What an archive's images are to become: looked through and checked before anything is written. */
import { type ArchivedImage, ArchiveError, type ImageList } from '../../src/archive/archive.ts'
import {
  type Descriptor,
  type Digest,
  isBlobType,
  mayBeMissing,
  type ParsedManifest,
  parseManifest,
  type Repository,
  type Tag,
} from '../../src/oci/oci.ts'

export interface ImportPlan {
  repository: Repository
  root: Descriptor
  tags: Tag[]
  /** Children before what refers to them. */
  manifests: PlannedManifest[]
  blobs: Map<Digest, Descriptor>
}

export interface PlannedManifest extends Descriptor {
  /** Manifests of an index that the archive does not hold. */
  absent: Digest[]
}

export interface PlanOptions {
  /** Takes the place of every name in the archive; tags stay. */
  as: Repository | undefined
  /** Where records say that a manifest belongs. */
  repositoriesOf(digest: Digest): Repository[]
}

const maxDepth = 4
const maxManifests = 20_000

/** Throws ArchiveError for what is incomplete, and for an image of which nobody says where it belongs. */
export async function planImport(list: ImageList, options: PlanOptions): Promise<ImportPlan[]> {
  const looked = new Map<Digest, Contents>()
  for (const { root } of list.images) looked.set(root.digest, await lookThrough(list, root))
  const plans: ImportPlan[] = []
  const homes = new Map<Digest, Set<Repository>>()
  for (const image of list.images.filter(({ names }) => names.length > 0)) {
    for (const [repository, tags] of homesOf(image, options)) {
      const contents = getContents(looked, image)
      plans.push({ repository, root: image.root, tags, ...contents })
      for (const { digest } of contents.manifests) addHome(homes, digest, repository)
    }
  }
  for (const image of withSubjectsFirst(list.images, looked)) {
    const contents = getContents(looked, image)
    const repositories = homesOfUnnamed(image, contents, homes, options)
    for (const repository of repositories) {
      plans.push({ repository, root: image.root, tags: [], ...contents })
      for (const { digest } of contents.manifests) addHome(homes, digest, repository)
    }
  }
  return plans
}

interface Contents {
  manifests: PlannedManifest[]
  blobs: Map<Digest, Descriptor>
  subject: Digest | undefined
}

async function lookThrough(list: ImageList, root: Descriptor): Promise<Contents> {
  const manifests = new Map<Digest, PlannedManifest>()
  const blobs = new Map<Digest, Descriptor>()
  const visit = async (descriptor: Descriptor, depth: number): Promise<ParsedManifest> => {
    if (depth > maxDepth) throw new ArchiveError(`indexes are nested deeper than ${maxDepth} levels`)
    const parsed = parseManifest(await list.readManifest(descriptor), descriptor.mediaType)
    const absent: Digest[] = []
    for (const child of parsed.manifests) {
      if (manifests.has(child.digest)) continue
      if (isBlobType(child.mediaType)) {
        blobs.set(child.digest, child)
        continue
      }
      // What an export for one platform leaves out.
      if ((await list.findBlob(child)) === undefined) absent.push(child.digest)
      else await visit(child, depth + 1)
    }
    for (const blob of parsed.blobs)
      if (!mayBeMissing(blob) || (await list.findBlob(blob))) blobs.set(blob.digest, blob)
    const { digest, mediaType, size } = descriptor
    manifests.set(digest, { digest, mediaType, size, absent })
    if (manifests.size > maxManifests)
      throw new ArchiveError(`an image has more than ${maxManifests} manifests`)
    return parsed
  }
  const { subject } = await visit(root, 1)
  return { manifests: [...manifests.values()], blobs, subject }
}

function homesOf({ names }: ArchivedImage, { as }: PlanOptions): Map<Repository, Tag[]> {
  const homes = new Map<Repository, Tag[]>()
  for (const { repository = as, tag } of names) {
    const home = as ?? repository
    if (home === undefined)
      throw new ArchiveError(
        `the archive names the tag "${tag}" and no repository; say which with --as REPOSITORY`,
      )
    homes.set(home, [...new Set([...(homes.get(home) ?? []), tag])])
  }
  return homes
}

function homesOfUnnamed(
  { root }: ArchivedImage,
  { subject }: Contents,
  homes: Map<Digest, Set<Repository>>,
  { as, repositoriesOf }: PlanOptions,
): Iterable<Repository> {
  if (as !== undefined) return [as]
  const bySubject = subject === undefined ? undefined : homes.get(subject)
  if (bySubject !== undefined) return bySubject
  const byRecord = repositoriesOf(root.digest)
  if (byRecord.length > 0) return byRecord
  throw new ArchiveError(
    `${root.digest} has no name in the archive; say where it belongs with --as REPOSITORY`,
  )
}

/** Those without a name: a signature before the signature of the signature. */
function withSubjectsFirst(images: ArchivedImage[], looked: Map<Digest, Contents>): ArchivedImage[] {
  const unnamed = new Map(
    images.filter(({ names }) => names.length === 0).map((image) => [image.root.digest, image]),
  )
  const ordered: ArchivedImage[] = []
  // A subject is hashed into what refers to it, so there is no ring of them.
  const take = (image: ArchivedImage): void => {
    if (!unnamed.delete(image.root.digest)) return
    const { subject } = getContents(looked, image)
    const before = subject === undefined ? undefined : unnamed.get(subject)
    if (before !== undefined) take(before)
    ordered.push(image)
  }
  for (const image of [...unnamed.values()]) take(image)
  return ordered
}

function getContents(looked: Map<Digest, Contents>, { root }: ArchivedImage): Contents {
  const contents = looked.get(root.digest)
  if (contents === undefined) throw new Error(`${root.digest} was not looked through`)
  return contents
}

function addHome(homes: Map<Digest, Set<Repository>>, digest: Digest, repository: Repository): void {
  homes.set(digest, (homes.get(digest) ?? new Set()).add(repository))
}
