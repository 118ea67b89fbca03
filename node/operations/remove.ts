/** The operation behind `shoal rm`: removes a tag, an image or a repository from the cluster. */
import { CodedError } from '../../src/base/base.ts'
import { type Digest, OciError, type Repository, type Tag } from '../../src/oci/oci.ts'
import type { Change, Names } from '../../src/records/records.ts'
import { letGo, nowhere } from '../../src/registry/registry.ts'
import { type ImageName, parseImageName } from './image-name.ts'
import type { Operation, OperationContext } from './operations.ts'
import { publishChanges } from './publish.ts'
import { planRemoval, type Removal } from './removal.ts'
import { walkManifests, walkTags } from './repository-walk.ts'

/** What went, or would with `dryRun`. The bytes follow when the collector finds them unused. */
export interface RemovedImage extends Removal {
  repository: Repository
}

/** The node was started with `--no-delete`. */
export class DeletionOffError extends CodedError {
  readonly code = 'DELETION_OFF'
}

/** A repository was named and nothing in it. */
export class WholeRepositoryError extends CodedError {
  readonly code = 'WHOLE_REPOSITORY'
}

/** Records that are published in one step. */
const changesAtOnce = 500

export const removeImage: Operation<'remove'> = async (context, params, _emit, { signal }) => {
  const { image, whole, dryRun, asAuthority } = params
  if (context.node.settings['no-delete']) {
    throw new DeletionOffError(
      'this node runs with --no-delete; restart it without, or remove it on another member',
    )
  }
  const name = parseImageName(image)
  const { repository } = name
  const roots = await rootsOf(context, name, whole)
  const removal = await planRemoval(context, repository, roots, signal)
  if (!dryRun) await remove(context, { repository, removal, roots }, asAuthority)
  return { repository, ...removal }
}

async function rootsOf(
  { node: { names }, member }: OperationContext,
  { repository, reference }: ImageName,
  whole: boolean,
): Promise<Removal> {
  if (reference === undefined) {
    if (!(await names.hasRepository(repository))) throw unknown(`there is no repository ${repository}`)
    if (!whole) {
      throw new WholeRepositoryError(
        `${repository} is a whole repository; name a tag (${repository}:TAG) or a digest, or remove all of it with --all`,
      )
    }
    return await everythingIn(names, repository)
  }
  const { askForTag, askForManifest } = member?.elsewhere ?? nowhere
  if ('tag' in reference) {
    const find = () => names.findTag(repository, reference.tag)
    if ((await find()) === undefined) await askForTag(repository, reference.tag)
    if ((await find()) === undefined) throw unknown(`${repository} has no tag ${reference.tag}`)
    return { tags: [reference.tag], manifests: [] }
  }
  const find = () => names.findManifest(repository, reference.digest)
  if ((await find()) === undefined) await askForManifest(repository, reference.digest)
  if ((await find()) === undefined) throw unknown(`${repository} has no manifest ${reference.digest}`)
  return { tags: [], manifests: [reference.digest] }
}

async function everythingIn(names: Names, repository: Repository): Promise<Removal> {
  const manifests = await Array.fromAsync(walkManifests(names, repository), ({ digest }) => digest)
  return { tags: await Array.fromAsync(walkTags(names, repository)), manifests }
}

interface Planned {
  repository: Repository
  removal: Removal
  /** What was asked for by name. */
  roots: Removal
}

async function remove(
  context: OperationContext,
  { repository, removal, roots }: Planned,
  asAuthority: boolean,
): Promise<void> {
  const { names } = context.node
  const { tags, manifests } = removal
  const named = new Set(roots.manifests)
  const forget = (tag: Tag) => ({ kind: 'tag' as const, repository, tag, value: undefined })

  /** A tag that came since the plan is taken along by what was named, and keeps what was not. */
  async function changesFor(digest: Digest): Promise<Change[]> {
    const since = await names.tagsOf(repository, digest)
    if (since.length > 0 && !named.has(digest)) return []
    const alongWithIt = since.map((tag): Change => ({ ...forget(tag), isTakenAlong: true }))
    return [...alongWithIt, { kind: 'manifest', repository, digest, value: undefined }]
  }

  for (const some of batches(tags)) await publishChanges(context, asAuthority, some.map(forget))
  for (const some of batches(manifests)) {
    await publishChanges(context, asAuthority, async () => (await Promise.all(some.map(changesFor))).flat())
  }
  const elsewhere = context.member?.elsewhere ?? nowhere
  for (const digest of manifests) await letGo({ ...context.node, elsewhere }, repository, digest)
}

function* batches<T>(items: T[]): Generator<T[]> {
  for (let from = 0; from < items.length; from += changesAtOnce) yield items.slice(from, from + changesAtOnce)
}

function unknown(message: string): OciError {
  return new OciError('MANIFEST_UNKNOWN', message)
}
