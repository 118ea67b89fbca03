/** Looking through an image, and bringing what is missing of it. */
import { CodedError, Semaphore } from '../base/base.ts'
import {
  type Descriptor,
  type Digest,
  mayBeMissing,
  type Platform,
  parseManifest,
  type Repository,
  type Tag,
} from '../oci/oci.ts'
import { ImagePlan, type Part } from './image-plan.ts'

/** The manifest at an image's top, in the repository through which it is read. */
export interface Image extends Descriptor {
  repository: Repository
}

/** What is here. */
export interface Library {
  findManifest(repository: Repository, digest: Digest): Promise<Uint8Array | undefined>
  hasBlob(repository: Repository, digest: Digest): Promise<boolean>
  /** Of what the manifest refers to, what was not there when it was pushed, and was not pushed since. */
  absentOf(repository: Repository, digest: Digest): Promise<readonly Digest[]>
  /** What has a tag by which clients find it beside this manifest, such as cosign's signatures. */
  listSiblings(repository: Repository, digest: Digest): Promise<(Descriptor & { tag: Tag })[]>
  /** Live manifests whose subject is `subject`, in order of digest, those after `after`. */
  listReferrers(
    repository: Repository,
    subject: Digest,
    page: { after?: Digest; limit: number },
  ): Promise<Descriptor[]>
}

/** Where what is not here comes from. Throws what the store and the exchange throw. */
export interface Supply {
  /** The manifest, once it is here; `undefined` when nobody holds it. */
  bringManifest(
    repository: Repository,
    digest: Digest,
    options: { signal: AbortSignal },
  ): Promise<Uint8Array | undefined>
  /** Sees to it that a tag of a mirrored repository is as fresh as the operator wants it, so that its record says what it points to now. */
  refreshTag(repository: Repository, tag: Tag, options: { signal: AbortSignal }): Promise<void>
  /** Sees to it that what refers to a manifest of a mirrored repository is known here, as far as its upstream can be asked. */
  refreshReferrers(repository: Repository, subject: Digest, options: { signal: AbortSignal }): Promise<void>
  /** The same for a manifest's siblings. */
  refreshSiblings(repository: Repository, digest: Digest, options: { signal: AbortSignal }): Promise<void>
  /** False when nobody holds it. */
  bringBlob(repository: Repository, digest: Digest, options: { signal: AbortSignal }): Promise<boolean>
}

export interface Survey {
  parts: number
  /** Of all parts, as the manifests say. */
  bytes: number
  missing: Part[]
  /** It is larger than a plan's limits, and the rest was not looked at. */
  isCut: boolean
}

export type PartState = 'held' | 'coming' | 'here' | 'missing'

export interface BringOptions {
  platforms?: readonly Platform[]
  /** Absent: only look. */
  supply?: Pick<Supply, 'bringManifest' | 'refreshReferrers' | 'refreshSiblings' | 'bringBlob'>
  /** Tries also what may be missing everywhere, until some of it was looked for in vain. */
  withOptional?: boolean
  /** How many blobs come at once; default 2. */
  concurrency?: number
  /** Called for each part when it is found, and again when its state changes. */
  onPart?: (part: Part, state: PartState, cause?: CodedError) => void
  signal: AbortSignal
}

const referrersAtOnce = 100
/** Looking for what nobody has takes seconds, and a manifest may list thousands of parts that it may be pushed without. */
const maxInVain = 4

/** Never throws for a part that cannot be had or read: it is in `missing`. */
export async function bringImage(image: Image, library: Library, options: BringOptions): Promise<Survey> {
  const { repository } = image
  const {
    supply,
    platforms = [],
    withOptional = false,
    concurrency = 2,
    onPart = () => undefined,
    signal,
  } = options
  const plan = new ImagePlan(image, { platforms })
  const survey: Survey = { parts: 0, bytes: 0, missing: [], isCut: false }
  const turns = new Semaphore(concurrency)
  const coming = new Set<Promise<void>>()
  let failure: unknown

  /** Nobody need have these. */
  const absent = new Set<Digest>()
  let inVain = 0
  const isLeftOut = ({ optional }: Part): boolean => optional && (!withOptional || inVain >= maxInVain)

  const miss = (part: Part, cause?: CodedError): void => {
    const optional = part.optional || absent.has(part.digest)
    onPart({ ...part, optional }, 'missing', cause)
    if (!optional) survey.missing.push(part)
  }

  /** Whatever reading or fetching one part fails with must not keep the others from coming. */
  const attempt = async <T>(part: Part, work: () => Promise<T | undefined>): Promise<T | undefined> => {
    try {
      const result = await work()
      if (result === undefined) miss(part)
      return result
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CodedError)) throw error
      miss(part, error)
      return undefined
    }
  }

  const visitManifest = async (part: Part): Promise<void> => {
    const here = await library.findManifest(repository, part.digest)
    // Unlike a blob, one that was pushed since then has a record, and is not among these.
    const isAbsent = here === undefined && absent.has(part.digest)
    if (isAbsent && inVain >= maxInVain) {
      miss(part)
      return
    }
    if (here !== undefined) onPart(part, 'held')
    else if (supply !== undefined) onPart(part, 'coming')
    const found = await attempt(part, async () => {
      const bytes = here ?? (await supply?.bringManifest(repository, part.digest, { signal }))
      if (bytes === undefined) return undefined
      plan.open(parseManifest(bytes, part.mediaType), bytes.length)
      for (const digest of await library.absentOf(repository, part.digest)) absent.add(digest)
      await visitSiblings(part)
      await visitReferrers(part)
      if (here === undefined) onPart(part, 'here')
      return bytes
    })
    if (isAbsent && found === undefined) inVain++
  }

  /** An upstream is asked about those of the image itself: that is what is signed, and each question is one of many. */
  const visitSiblings = async ({ digest }: Part): Promise<void> => {
    if (digest === image.digest) await supply?.refreshSiblings(repository, digest, { signal })
    plan.refer(await library.listSiblings(repository, digest))
  }

  const visitReferrers = async (part: Part): Promise<void> => {
    await supply?.refreshReferrers(repository, part.digest, { signal })
    let after: Digest | undefined
    do {
      const page = { limit: referrersAtOnce, ...(after === undefined ? {} : { after }) }
      const referrers = await library.listReferrers(repository, part.digest, page)
      after = referrers.length < referrersAtOnce ? undefined : referrers.at(-1)?.digest
      if (!plan.refer(referrers)) return
    } while (after !== undefined)
  }

  const visitBlob = async (part: Part): Promise<void> => {
    if (await library.hasBlob(repository, part.digest)) {
      onPart(part, 'held')
      return
    }
    if (supply === undefined || isLeftOut(part)) {
      miss(part)
      return
    }
    onPart(part, 'coming')
    const task = turns
      .run(async () => {
        const came = await attempt(part, async () => {
          if (isLeftOut(part) || !(await supply.bringBlob(repository, part.digest, { signal })))
            return undefined
          onPart(part, 'here')
          return true
        })
        if (came === undefined && part.optional) inVain++
      })
      .catch((error: unknown) => {
        failure ??= error
      })
      .finally(() => coming.delete(task))
    coming.add(task)
  }

  try {
    for (let part = plan.next(); part !== undefined; part = plan.next()) {
      signal.throwIfAborted()
      if (failure !== undefined) break
      survey.parts++
      survey.bytes += part.size
      await (part.kind === 'manifest' ? visitManifest(part) : visitBlob(part))
      // A plan may hold thousands of blobs, and each that waits is a promise.
      while (coming.size >= maxWaiting) await Promise.race(coming)
    }
  } finally {
    await Promise.all(coming)
  }
  if (failure !== undefined) throw failure
  return { ...survey, isCut: plan.isCut }
}

/** Whether whoever has the image whole has that blob, which its manifest lists: what may be missing everywhere need be nowhere. */
export async function isRequired(
  { repository, digest, mediaType }: Pick<Image, 'repository' | 'digest' | 'mediaType'>,
  blob: Digest,
  library: Pick<Library, 'findManifest' | 'absentOf'>,
): Promise<boolean> {
  const bytes = await library.findManifest(repository, digest)
  if (bytes === undefined) return false
  const { blobs, manifests } = parseManifest(bytes, mediaType)
  const listed = [...blobs, ...manifests].filter((part) => part.digest === blob)
  if (listed.length === 0 || listed.some(mayBeMissing)) return false
  return !(await library.absentOf(repository, digest)).includes(blob)
}

const maxWaiting = 64
