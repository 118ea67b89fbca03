/**
 * What an image consists of, found out manifest by manifest: whoever reads them tells the plan, and the plan says what to
 * look for next. Pure, and bounded whatever the manifests say.
 */
import {
  type ChildDescriptor,
  type Descriptor,
  type Digest,
  fitsPlatform,
  isBlobType,
  mayBeMissing,
  type ParsedManifest,
  type Platform,
  type Tag,
} from '../oci/oci.ts'

export interface Part extends Descriptor {
  kind: 'manifest' | 'blob'
  /** It may be missing everywhere: a layer that its licence keeps out of registries. */
  optional: boolean
  /** Nothing in the image refers to it; it refers to a manifest of the image. */
  isReferrer: boolean
  /** By which clients find it. */
  tag?: Tag
}

export interface PlanLimits {
  /** Of manifests and blobs together. */
  maxParts: number
  /** Signatures, SBOMs and the like, of all the image's manifests together. */
  maxReferrers: number
  /** Of manifests that are read, all together. */
  maxManifestBytes: number
}

export const defaultPlanLimits: PlanLimits = {
  maxParts: 20_000,
  maxReferrers: 1_000,
  maxManifestBytes: 256 * 2 ** 20,
}

export class ImagePlan {
  readonly #platforms: readonly Platform[]
  readonly #limits: PlanLimits
  readonly #parts: Part[] = []
  readonly #seen = new Set<Digest>()
  #given = 0
  #referrers = 0
  #manifestBytes = 0
  #isCut = false

  /** With `platforms`, an index needs only the manifests that fit one of them, and those that name no platform. */
  constructor(root: Descriptor, { platforms = [], limits = {} }: PlanOptions = {}) {
    this.#platforms = platforms
    this.#limits = { ...defaultPlanLimits, ...limits }
    this.#add(partOf('manifest', root))
  }

  /** True when the image is larger than the limits, and what lies beyond them was left out. */
  get isCut(): boolean {
    return this.#isCut
  }

  /** Each part once, in the order in which they were found; no more manifests once too many bytes of them were read. */
  next(): Part | undefined {
    for (;;) {
      const part = this.#parts[this.#given]
      if (part === undefined) return undefined
      this.#given++
      if (part.kind === 'blob' || this.#manifestBytes < this.#limits.maxManifestBytes) return part
      this.#isCut = true
    }
  }

  /** What a manifest of so many bytes that `next` gave refers to. */
  open({ blobs, manifests }: Pick<ParsedManifest, 'blobs' | 'manifests'>, bytes: number): void {
    this.#manifestBytes += bytes
    for (const child of this.#select(manifests))
      this.#add(partOf(isBlobType(child.mediaType) ? 'blob' : 'manifest', child))
    for (const blob of blobs) this.#add(partOf('blob', blob))
  }

  /** Manifests that belong to one that `next` gave, by their subject or by a tag of their own. Returns false when there is no room for more. */
  refer(referrers: (Descriptor & { tag?: Tag })[]): boolean {
    for (const referrer of referrers) {
      if (this.#seen.has(referrer.digest)) continue
      if (this.#referrers === this.#limits.maxReferrers) {
        this.#isCut = true
        return false
      }
      this.#referrers++
      const { tag } = referrer
      this.#add({ ...partOf('manifest', referrer), isReferrer: true, ...(tag === undefined ? {} : { tag }) })
    }
    return true
  }

  #select(children: ChildDescriptor[]): ChildDescriptor[] {
    if (this.#platforms.length === 0) return children
    const fits = ({ platform }: ChildDescriptor): boolean =>
      platform === undefined || this.#platforms.some((wanted) => fitsPlatform(wanted, platform))
    const chosen = new Set(children.filter(fits).map(({ digest }) => digest))
    return children.filter(({ digest, describes }) => {
      return describes === undefined ? chosen.has(digest) : chosen.has(describes)
    })
  }

  #add(part: Part): void {
    if (this.#seen.has(part.digest)) return
    if (this.#seen.size === this.#limits.maxParts) {
      this.#isCut = true
      return
    }
    this.#seen.add(part.digest)
    this.#parts.push(part)
  }
}

export interface PlanOptions {
  platforms?: readonly Platform[]
  limits?: Partial<PlanLimits>
}

function partOf(kind: Part['kind'], { digest, mediaType, size }: Descriptor): Part {
  const descriptor = { digest, mediaType, size }
  return { ...descriptor, kind, optional: kind === 'blob' && mayBeMissing(descriptor), isReferrer: false }
}
