/** The operation behind `shoal inspect`: an image's manifests, configs, layers, referrers, and who published it. */
import {
  type Descriptor,
  type Digest,
  OciError,
  parseManifest,
  type Repository,
  type Tag,
} from '../../src/oci/oci.ts'
import type { ManifestEntry } from '../../src/records/records.ts'
import { type ImageConfig, readImageConfig } from './image-config.ts'
import { readManifest, readSmallBlob } from './image-content.ts'
import { parseImageName } from './image-name.ts'
import type { Operation, OperationContext } from './operations.ts'
import { type PlatformDescriptor, readPlatforms } from './platforms.ts'

export interface ImageDetails {
  repository: Repository
  digest: Digest
  mediaType: string
  /** Of the manifest; what the whole takes is `totalBytes`. */
  size: number
  kind: 'image' | 'index' | 'other'
  /** Absent when a digest was asked for, or when the tag is not a record of this cluster. */
  tag?: { name: Tag; author: string; writtenMs: number }
  /** Who published the manifest; absent when it has no record here. */
  manifest?: Pick<ManifestEntry, 'author' | 'writtenMs' | 'artifactType' | 'subject' | 'annotations'>
  /** All tags of the repository that point to it. */
  tags: Tag[]
  /** One for an image; those of an index in its order, at most `maxPlatforms`. */
  platforms: PlatformDetails[]
  /** How many platforms the index has beyond those. */
  omittedPlatforms: number
  /** Signatures, SBOMs and the like. */
  referrers: ManifestEntry[]
  /** Of the manifest and everything it refers to as far as it could be read, each content once. */
  totalBytes: number
  /** Members that said, when asked, that they hold the manifest; absent when they were not asked. */
  holders?: string[]
}

export interface PlatformDetails {
  digest: Digest
  size: number
  /** Such as `linux/arm64/v8`; absent where neither the index nor the config says. */
  platform?: string
  /** Absent when neither this node nor a member that it reaches has the manifest. */
  content?: {
    artifactType?: string
    config: BlobDetails
    layers: LayerDetails[]
    /** Absent when the config cannot be read, or is not an image's. */
    image?: ImageConfig
  }
}

export interface BlobDetails {
  digest: Digest
  size: number
  mediaType: string
  /** Whether this node has it whole. */
  isHere: boolean
  /** As for the image. */
  holders?: string[]
}

export interface LayerDetails extends BlobDetails {
  createdBy?: string
}

/** Platforms that are read and not only listed; indexes with more are rare, and each may have to come from a member. */
const maxPlatforms = 16
const maxReferrers = 100
const askHoldersMs = 1_000

export const inspectImage: Operation<'inspect'> = async (context, { image, holders }, _emit, { signal }) => {
  const { repository, reference = { tag: 'latest' as Tag } } = parseImageName(image)
  const { names } = context.node
  const { digest, mediaType, size } = await context.registry.pull.statManifest(repository, reference, {
    signal,
  })
  const bytes = await readManifest(context, repository, digest, signal)
  if (bytes === undefined) {
    throw new OciError(
      'MANIFEST_UNKNOWN',
      `${repository} has ${digest}, but no member that can be reached holds it`,
    )
  }
  const parsed = parseManifest(bytes, mediaType)
  const tag = 'tag' in reference ? await names.findTag(repository, reference.tag) : undefined
  const entry = await names.findManifest(repository, digest)
  const inspection = { context, repository, holders, signal }
  const shown =
    parsed.kind === 'index' ? readPlatforms(bytes, parsed.manifests) : [{ digest, size, mediaType }]
  const platforms = await Promise.all(
    shown.slice(0, maxPlatforms).map((platform) => readPlatform(inspection, platform)),
  )
  return {
    repository,
    digest,
    mediaType,
    size,
    kind: parsed.kind === 'opaque' ? 'other' : parsed.kind,
    ...(tag === undefined || !('tag' in reference)
      ? {}
      : { tag: { name: reference.tag, author: tag.author, writtenMs: tag.writtenMs } }),
    ...(entry === undefined ? {} : { manifest: publishedOf(entry) }),
    tags: await names.tagsOf(repository, digest),
    platforms,
    omittedPlatforms: Math.max(0, shown.length - maxPlatforms),
    referrers: await names.listReferrers(repository, digest, { limit: maxReferrers }),
    totalBytes: totalOf(digest, size, platforms),
    ...(await holdersOf(inspection, digest)),
  }
}

interface Inspection {
  context: OperationContext
  repository: Repository
  /** Whether members are asked what they hold. */
  holders: boolean
  signal: AbortSignal
}

async function readPlatform(
  inspection: Inspection,
  { digest, size, mediaType, platform }: PlatformDescriptor,
): Promise<PlatformDetails> {
  const { context, repository, signal } = inspection
  const named = platform === undefined ? {} : { platform }
  const bytes = await readManifest(context, repository, digest, signal)
  if (bytes === undefined) return { digest, size, ...named }
  const { kind, blobs, artifactType } = parseManifest(bytes, mediaType)
  const [config, ...layers] = blobs
  // An index inside an index, or what is stored without being understood.
  if (kind !== 'image' || config === undefined) return { digest, size, ...named }
  const configBytes = await readSmallBlob(context, repository, config, signal)
  const image = configBytes === undefined ? undefined : readImageConfig(configBytes, layers.length)
  const own = [image?.os, image?.architecture, image?.variant].filter((part) => part !== undefined).join('/')
  return {
    digest,
    size,
    ...(own === '' ? named : { platform: platform ?? own }),
    content: {
      ...(artifactType === undefined ? {} : { artifactType }),
      config: await describeBlob(inspection, config),
      layers: await Promise.all(
        layers.map(async (layer, index) => {
          const createdBy = image?.layers[index]?.createdBy
          const described = await describeBlob(inspection, layer)
          return createdBy === undefined ? described : { ...described, createdBy }
        }),
      ),
      ...(image === undefined ? {} : { image }),
    },
  }
}

async function describeBlob(
  inspection: Inspection,
  { digest, size, mediaType }: Descriptor,
): Promise<BlobDetails> {
  const isHere = (await inspection.context.node.store.blobs.stat(digest)) !== undefined
  return { digest, size, mediaType, isHere, ...(await holdersOf(inspection, digest)) }
}

async function holdersOf(
  { context: { member }, repository, holders, signal }: Inspection,
  digest: Digest,
): Promise<{ holders?: string[] }> {
  if (!holders || member === undefined) return {}
  // Who has not answered by then is left out.
  const options = { withinMs: askHoldersMs, signal }
  return { holders: await member.exchange.seeders({ digest, repository }, options) }
}

function publishedOf({ author, writtenMs, artifactType, subject, annotations }: ManifestEntry) {
  return {
    author,
    writtenMs,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(subject === undefined ? {} : { subject }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}

function totalOf(digest: Digest, size: number, platforms: PlatformDetails[]): number {
  const sizes = new Map<Digest, number>([[digest, size]])
  for (const platform of platforms) {
    sizes.set(platform.digest, platform.size)
    const { config, layers = [] } = platform.content ?? {}
    for (const blob of config === undefined ? layers : [config, ...layers]) sizes.set(blob.digest, blob.size)
  }
  return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
}
