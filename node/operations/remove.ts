/** The operation behind `shoal rm`: removes a tag, an image or a repository from the cluster. */
import { CodedError } from '../../src/base/base.ts'
import { OciError, type Repository } from '../../src/oci/oci.ts'
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
  const removal = await planRemoval(context, repository, await rootsOf(context, name, whole), signal)
  if (!dryRun) await remove(context, repository, removal, asAuthority)
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

async function remove(
  context: OperationContext,
  repository: Repository,
  { tags, manifests }: Removal,
  asAuthority: boolean,
): Promise<void> {
  const changes: Change[] = [
    ...tags.map((tag): Change => ({ kind: 'tag', repository, tag, value: undefined })),
    ...manifests.map((digest): Change => ({ kind: 'manifest', repository, digest, value: undefined })),
  ]
  for (let from = 0; from < changes.length; from += changesAtOnce) {
    await publishChanges(context, asAuthority, changes.slice(from, from + changesAtOnce))
  }
  const elsewhere = context.member?.elsewhere ?? nowhere
  for (const digest of manifests) await letGo({ ...context.node, elsewhere }, repository, digest)
}

function unknown(message: string): OciError {
  return new OciError('MANIFEST_UNKNOWN', message)
}
