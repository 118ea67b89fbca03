/** One image as the page shows it: what `shoal inspect` knows, in the page's words. */
import type { Repository } from '../../../src/oci/oci.ts'
import { formatImageName } from '../../operations/image-name.ts'
import type { BlobDetails, ImageDetails, PlatformDetails } from '../../operations/inspect.ts'
import type { BlobFacts, ConfigFacts, ImageAnswer, PlatformFacts } from '../answers/images.ts'
import type { PageNode } from '../page.ts'
import { attachedTo } from './attached-tags.ts'
import { noSuchRepository } from './changes.ts'
import { PageError } from './page-error.ts'
import type { Query } from './query.ts'
import { authorFor, type Visitor } from './visitors.ts'

/** Text from strangers that one answer carries of each. */
const maxAnnotations = 128
const maxTextLength = 2048

export interface ImageOptions {
  visitor: Visitor
  signal: AbortSignal
  /** Whether who asks may free this node's copy, and have it brought. */
  mayFree: boolean
  /** Why nothing can be tagged, in words. */
  untaggable: string | undefined
  /** Why no tag can be deleted there, in words. */
  undeletableIn(repository: Repository): string | undefined
}

/** With `holders=1` members are asked what they hold, which takes up to a second. */
export async function describeImage(
  node: PageNode,
  query: Query,
  { visitor, signal, mayFree, untaggable, undeletableIn }: ImageOptions,
): Promise<ImageAnswer> {
  const repository = query.repository()
  const reference = query.reference()
  // Before anything is looked up, so that it takes as long whether there is something or not.
  if (!visitor.may(repository, 'pull')) throw new PageError('NAME_UNKNOWN', 404, noSuchRepository(repository))
  const image = formatImageName(repository, reference)
  const details = await node.operate('inspect', { image, holders: query.flag('holders') }, { signal })
  const { tag } = details
  const undeletable = undeletableIn(repository)
  const debt = node.short().find((one) => one.repository === repository && one.digest === details.digest)
  const isHere = (await node.store.manifests.get(details.digest)) !== undefined
  return {
    repository,
    digest: details.digest,
    mediaType: details.mediaType,
    kind: details.kind,
    ...(tag === undefined
      ? {}
      : { tag: { name: tag.name, writtenMs: tag.writtenMs, ...authorFor(visitor, tag) } }),
    tags: details.tags.slice(0, maxAnnotations),
    annotations: bounded(details.manifest?.annotations),
    totalBytes: details.totalBytes,
    platforms: details.platforms.map((platform) => platformOf(platform, visitor)),
    omittedPlatforms: details.omittedPlatforms,
    referrers: [
      ...(await attachedTo(node.names, repository, details.digest)),
      ...details.referrers.map(referrerOf),
    ].map((referrer) => {
      const { author: _author, ...rest } = referrer
      return { ...rest, ...authorFor(visitor, referrer) }
    }),
    isHere,
    ...holdersFor(visitor, details),
    ...(debt === undefined ? {} : { short: { held: debt.held, wanted: debt.wanted, sinceMs: debt.sinceMs } }),
    isEvictable: mayFree && isHere,
    isWarmable: mayFree,
    ...(untaggable === undefined ? {} : { untaggable }),
    ...(undeletable === undefined ? {} : { undeletable }),
  }
}

function platformOf({ digest, size, platform, content }: PlatformDetails, visitor: Visitor): PlatformFacts {
  const named = { digest, bytes: size, ...(platform === undefined ? {} : { platform }) }
  if (content === undefined) return named
  const { artifactType, config, layers, image } = content
  return {
    ...named,
    content: {
      ...(artifactType === undefined ? {} : { artifactType }),
      config: blobOf(config, visitor),
      layers: layers.map((layer) => blobOf(layer, visitor)),
      ...(image === undefined ? {} : { image: configOf(image) }),
    },
  }
}

function blobOf(blob: BlobDetails & { createdBy?: string }, visitor: Visitor): BlobFacts {
  const { digest, size, mediaType, isHere, createdBy } = blob
  return {
    digest,
    bytes: size,
    mediaType,
    isHere,
    ...holdersFor(visitor, blob),
    ...(createdBy === undefined ? {} : { createdBy }),
  }
}

/** Who has it, for who may know the members; how many have it, for others. */
function holdersFor(
  { knowsMembers }: Visitor,
  { holders }: { holders?: string[] },
): { holders?: string[] | number } {
  if (holders === undefined) return {}
  return { holders: knowsMembers ? holders : holders.length }
}

type InspectedConfig = NonNullable<NonNullable<PlatformDetails['content']>['image']>

function configOf(image: InspectedConfig): ConfigFacts {
  const { created, author, user, workingDir, entrypoint, command, environment, ports, volumes, labels } =
    image
  return {
    ...(created === undefined ? {} : { created }),
    ...(author === undefined ? {} : { author }),
    ...(user === undefined ? {} : { user }),
    ...(workingDir === undefined ? {} : { workingDir }),
    entrypoint,
    command,
    environment,
    ports,
    volumes,
    labels,
  }
}

function referrerOf(entry: ImageDetails['referrers'][number]) {
  const { digest, mediaType, size, artifactType, annotations, writtenMs, author } = entry
  return {
    digest,
    mediaType,
    bytes: size,
    ...(artifactType === undefined ? {} : { artifactType }),
    annotations: bounded(annotations),
    writtenMs,
    author,
  }
}

function bounded(annotations: Record<string, string> = {}): Record<string, string> {
  const entries = Object.entries(annotations).slice(0, maxAnnotations)
  return Object.fromEntries(entries.map(([key, value]) => [key.slice(0, 256), value.slice(0, maxTextLength)]))
}
