/** The operation behind `shoal warm`: brings images here now, and tells of every part of them while it comes. */
import { type Clock, CodedError, steadyClock } from '../../src/base/base.ts'
import { layoutOf } from '../../src/exchange/exchange.ts'
import type { Digest, Repository, Tag } from '../../src/oci/oci.ts'
import {
  bringImage,
  createPlatforms,
  type Image,
  type Part,
  type PartState,
} from '../../src/placement/placement.ts'
import { nowhere } from '../../src/registry/registry.ts'
import { libraryOf, supplyOf } from '../keep-sources.ts'
import { NotRunningError } from './cluster.ts'
import { formatImageName, parseImageName } from './image-name.ts'
import type { Operation, OperationContext } from './operations.ts'

export type WarmEvent =
  | ({ type: 'image'; image: string } & WarmRoot)
  /** A part that was found, or whose state changed. `reason` says why it is missing, where that is known. */
  | ({ type: 'part'; image: string; state: PartState; reason?: string } & Part)
  /** How much of the blobs that are on their way is here. */
  | { type: 'progress'; digest: Digest; receivedBytes: number }

/** What the image is, as its name resolves at this moment. */
export interface WarmRoot {
  repository: Repository
  /** Absent when it was named by its digest. */
  tag?: Tag
  digest: Digest
  mediaType: string
  size: number
}

export interface WarmedImage {
  /** As it was named. */
  image: string
  parts: number
  bytes: number
  /** What could not be had, in words. */
  missing: string[]
}

const progressEveryMs = 200
const blobsAtOnce = 4

export const warmImages: Operation<'warm'> = async (
  context,
  { images, platforms = [], mayBeStopped = false },
  emit,
  { signal },
) => {
  if (context.member === undefined && !mayBeStopped) {
    throw new NotRunningError(
      'no node runs on this data directory, so nothing can be fetched; start it with shoal serve',
    )
  }
  const wanted = createPlatforms(platforms)
  const names = images.map((image) => ({ image, ...parseImageName(image) }))
  const warmed: WarmedImage[] = []
  await using _ticker = tellProgress(context, emit, steadyClock)
  for (const { image, repository, reference = { tag: 'latest' as Tag } } of names) {
    const result: WarmedImage = { image, parts: 0, bytes: 0, missing: [] }
    warmed.push(result)
    const root = await resolve(context, repository, reference, signal)
    if ('failure' in root) {
      result.missing.push(`${formatImageName(repository, reference)}: ${root.failure}`)
      continue
    }
    const named = 'tag' in reference ? { tag: reference.tag } : {}
    emit({ type: 'image', image, ...named, ...root })
    const survey = await bringImage(root, libraryOf(context.node), {
      platforms: wanted,
      supply: supplyOf({
        ...context,
        store: context.node.store,
        elsewhere: context.member?.elsewhere ?? nowhere,
      }),
      concurrency: blobsAtOnce,
      signal,
      onPart(part, state, cause) {
        emit({
          type: 'part',
          image,
          state,
          ...part,
          ...(cause === undefined ? {} : { reason: cause.message }),
        })
        if (state !== 'missing' || part.optional) return
        result.missing.push(
          `${part.kind} ${part.digest} of ${image}: ${cause?.message ?? 'no member that can be reached holds it'}`,
        )
      },
    })
    if (survey.isCut) result.missing.push(`${image} consists of more parts than are looked at`)
    result.parts = survey.parts
    result.bytes = survey.bytes
  }
  return { images: warmed }
}

type Resolved = Image | { failure: string }

async function resolve(
  { registry }: OperationContext,
  repository: Repository,
  reference: { tag: Tag } | { digest: Digest },
  signal: AbortSignal,
): Promise<Resolved> {
  try {
    const { digest, mediaType, size } = await registry.pull.statManifest(repository, reference, { signal })
    return { repository, digest, mediaType, size }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof CodedError)) throw error
    return { failure: error.message }
  }
}

/** Until it is disposed of. */
function tellProgress(
  { member }: OperationContext,
  emit: (event: WarmEvent) => void,
  clock: Clock,
): AsyncDisposable {
  const over = new AbortController()
  const tell = async (): Promise<void> => {
    while (!over.signal.aborted) {
      for (const { digest, size, held } of member?.exchange.status().transfers ?? []) {
        if (size === undefined) continue
        // Every piece but the last has this length, so a whole blob is not more than it is.
        emit({ type: 'progress', digest, receivedBytes: Math.min(size, held * layoutOf(size).pieceBytes) })
      }
      try {
        await clock.sleep(progressEveryMs, { signal: over.signal })
      } catch (error) {
        if (!over.signal.aborted) throw error
      }
    }
  }
  const telling = tell()
  return {
    async [Symbol.asyncDispose]() {
      over.abort(new Error('all is told'))
      await telling
    },
  }
}
