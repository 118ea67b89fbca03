/** The operation behind `shoal drain`: what this node holds is brought elsewhere, so that it can go for good. */
import { CodedError, paged, steadyClock } from '../../src/base/base.ts'
import type { Digest, Repository } from '../../src/oci/oci.ts'
import { type ImageName, keyOf } from '../../src/placement/placement.ts'
import type { Operation, OperationContext } from './operations.ts'
import { walkManifests, walkTags } from './repository-walk.ts'

export interface DrainEvent {
  /** Images that are to be elsewhere, and those that are. */
  images: number
  moved: number
}

export interface Drained extends DrainEvent {
  /** Those that are not, with what stands in the way, in words. */
  left: string[]
}

/** The node cannot be drained as things stand. */
export class DrainError extends CodedError {
  readonly code = 'DRAIN'
}

const againMs = 2_000
const atOnce = 2

export const drainNode: Operation<'drain'> = async (context, { withinMs }, emit, { signal }) => {
  const { member, copies } = context
  if (member === undefined || copies === undefined) {
    throw new DrainError(
      'no node runs here, so nothing can be brought elsewhere; start it, and drain it then',
    )
  }
  if (!member.swarm.members.offers().some(({ room }) => room > 0)) {
    throw new DrainError(
      'no other member that offers room is connected (see shoal peers); what is here would have nowhere to go',
    )
  }
  copies.leave()
  const untilMs = withinMs === undefined ? Number.POSITIVE_INFINITY : steadyClock.now() + withinMs
  const moved = new Set<string>()
  for (;;) {
    const images = await findImages(context)
    const waiting = [...images].filter(([key]) => !moved.has(key))
    const tell = (): void => emit({ images: images.size, moved: images.size - waiting.length })
    tell()
    for (let from = 0; from < waiting.length; from += atOnce) {
      signal.throwIfAborted()
      const some = waiting.slice(from, from + atOnce)
      const handed = await Promise.all(some.map(([, image]) => copies.handOver(image, { signal })))
      for (const [at, [key]] of some.entries()) if (handed[at] === true) moved.add(key)
      emit({ images: images.size, moved: [...images.keys()].filter((key) => moved.has(key)).length })
    }
    const left = waiting.filter(([key]) => !moved.has(key)).map(([key]) => key)
    // What was pushed meanwhile is looked for once more: nothing is left when a whole look finds nothing to do.
    if (waiting.length === 0 || steadyClock.now() >= untilMs)
      return { images: images.size, moved: moved.size, left }
    if (left.length > 0) await steadyClock.sleep(againMs, { signal })
  }
}

/** What is here and was pushed: by tags, and manifests that no tag names and nothing here lists. */
async function findImages({ node }: OperationContext): Promise<Map<string, ImageName>> {
  const { names, store } = node
  const images = new Map<string, ImageName>()
  const add = async (repository: Repository, digest: Digest): Promise<void> => {
    const image = { repository, digest }
    if (images.has(keyOf(image)) || !(await store.links.has(repository, digest))) return
    if ((await store.manifests.get(digest)) !== undefined) images.set(keyOf(image), image)
  }
  for await (const repository of paged((page) => names.listRepositories(page))) {
    const mirrored = new Set<Digest>()
    for await (const tag of walkTags(names, repository)) {
      const entry = await names.findTag(repository, tag)
      if (entry?.checkedMs !== undefined) mirrored.add(entry.digest)
      else if (entry !== undefined) await add(repository, entry.digest)
    }
    for await (const { digest, subject } of walkManifests(names, repository)) {
      // It goes with what it refers to, where that goes.
      const isTaken = subject !== undefined && images.has(keyOf({ repository, digest: subject }))
      if (isTaken || mirrored.has(digest)) continue
      let isListed = false
      for await (const _ of store.manifests.referringTo(repository, digest)) isListed = true
      if (!isListed) await add(repository, digest)
    }
  }
  return images
}
