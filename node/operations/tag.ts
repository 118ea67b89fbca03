/** The operation behind `shoal tag`: another name for an image, in its repository or in another one. */
import { CodedError } from '../../src/base/base.ts'
import { type Digest, OciError, parseManifest, type Repository, type Tag } from '../../src/oci/oci.ts'
import { readManifest } from './image-content.ts'
import { parseImageName } from './image-name.ts'
import type { Operation, OperationContext } from './operations.ts'
import { publishChanges, tagManifest } from './publish.ts'

export interface TaggedImage {
  repository: Repository
  tag: Tag
  digest: Digest
  /** What the tag pointed to before, when that was something else. */
  before?: Digest
}

/** How many contents of the image the other repository may read by now. */
export interface TagProgress {
  mounted: number
}

/** What the tag is to point to is not something that a tag can name. */
export class TagTargetError extends CodedError {
  readonly code = 'TAG_TARGET'
}

export const tagImage: Operation<'tag'> = async (
  context,
  { source, target, asAuthority },
  emit,
  { signal },
) => {
  const from = parseImageName(source)
  const to = parseImageName(target)
  const { repository, reference = { tag: 'latest' as Tag } } = to
  if (!('tag' in reference))
    throw new TagTargetError(`${target} names a digest; a new name is REPOSITORY:TAG`)
  const { tag } = reference
  const { names } = context.node
  const { digest, mediaType } = await context.registry.pull.statManifest(
    from.repository,
    from.reference ?? { tag: 'latest' as Tag },
    { signal },
  )
  const before = (await names.findTag(repository, tag))?.digest
  if (repository !== from.repository) {
    const seen = new Set<Digest>()
    const mounted = () => emit({ mounted: seen.size })
    await carry({ context, from: from.repository, to: repository, seen, mounted, signal }, digest, mediaType)
  }
  const publish = () =>
    publishChanges(context, asAuthority, tagManifest(context, { repository, tag, digest }))
  if (context.origin === undefined) await publish()
  else {
    // Quotas are for whoever pushes by rights; who reaches the admin socket has the disk anyway.
    const bytes = await readManifest(context, from.repository, digest, signal)
    if (bytes === undefined) throw absent(from.repository, digest)
    await context.registry.push.withinQuotas(repository, [tag], { digest, mediaType, bytes }, publish)
  }
  return { repository, tag, digest, ...(before === undefined || before === digest ? {} : { before }) }
}

interface Carrying {
  context: OperationContext
  from: Repository
  to: Repository
  /** What was carried already: images of an index share layers. */
  seen: Set<Digest>
  mounted(): void
  signal: AbortSignal
}

/** Lets the other repository have a manifest with all that it refers to, what it refers to first. */
async function carry(carrying: Carrying, digest: Digest, mediaType: string): Promise<void> {
  const { context, from, to, seen, mounted, signal } = carrying
  signal.throwIfAborted()
  if (seen.has(digest)) return
  seen.add(digest)
  const bytes = await readManifest(context, from, digest, signal)
  if (bytes === undefined) throw absent(from, digest)
  const { blobs, manifests } = parseManifest(bytes, mediaType)
  for (const child of manifests) await carry(carrying, child.digest, child.mediaType)
  for (const blob of blobs) {
    signal.throwIfAborted()
    if (seen.has(blob.digest)) continue
    seen.add(blob.digest)
    await mount(carrying, blob.digest)
    mounted()
  }
  const by = context.origin?.account
  await context.registry.push.putManifest(to, { digest }, { bytes, contentType: mediaType, by })
}

async function mount({ context: { registry }, from, to }: Carrying, digest: Digest): Promise<void> {
  const started = await registry.push.startUpload(to, { mount: { digest, from } })
  if ('mounted' in started) return
  await registry.push.cancelUpload(to, started.upload.id)
  throw absent(from, digest)
}

function absent(repository: Repository, digest: Digest): OciError {
  return new OciError('UNAVAILABLE', `no member that can be reached gives ${digest} of ${repository}`)
}
