/** What asks for copies of an image: the tags that name it, or name what it belongs to. What was deleted, nothing asks for. */
import type { Digest, Repository } from '../oci/oci.ts'
import type { ManifestEntry, Names, PlacementKeys, TagEntry } from '../records/records.ts'
import type { ImageName } from './backlog.ts'
import { copiesOf } from './copy-rule.ts'
import type { Image } from './image.ts'

export interface Claim {
  image: Image
  /** By which its owners are ranked: what its tag's record says, else its own digest, or that of the image that it is a part of. */
  key: Digest
  copies: number
  /** Who wrote what asks for it. */
  author: string
  sinceMs: number
  isMirrored: boolean
}

export interface ClaimsOptions {
  names: Pick<Names, 'findTag' | 'findManifest' | 'tagsOf'>
  policy(): PlacementKeys
  /** Manifests of the repository here that list the digest. */
  parentsOf(repository: Repository, digest: Digest): AsyncIterable<Digest>
}

/** Whether a record names it, or a manifest here that lists it. */
export async function isNamed(
  { names, parentsOf }: Pick<ClaimsOptions, 'parentsOf'> & { names: Pick<Names, 'findManifest'> },
  { repository, digest }: ImageName,
): Promise<boolean> {
  if ((await names.findManifest(repository, digest)) !== undefined) return true
  for await (const _ of parentsOf(repository, digest)) return true
  return false
}

function homeOf(entry: TagEntry | ManifestEntry): Digest {
  return ('home' in entry ? entry.home : undefined) ?? entry.digest
}

/** An attestation about a manifest of an index is two steps away; a chain of referrers may be longer. */
const maxSteps = 32
/** Of one manifest, and of those the ones that differ in who its owners are: more of them say nothing. */
const maxTags = 1_000
const maxHomes = 16

export class Claims {
  readonly #options: ClaimsOptions

  constructor(options: ClaimsOptions) {
    this.#options = options
  }

  ofTag(repository: Repository, entry: TagEntry | ManifestEntry): Claim {
    const { digest, mediaType, size } = entry
    return this.#claim({ repository, digest, mediaType, size }, homeOf(entry), entry)
  }

  /** One of those; `undefined` where nothing asks for it, or its record has not come. */
  async of(image: ImageName): Promise<Claim | undefined> {
    for await (const claim of this.#each(image)) return claim
    return undefined
  }

  /**
   * One for each image that it is or belongs to and each home that a tag of that names, as each has owners of its own: whoever may
   * write a tag takes nothing from the owners by another. None where they are too many to look at.
   */
  async all(image: ImageName): Promise<Claim[]> {
    const claims: Claim[] = []
    let isCut = false
    const onCut = (): void => {
      isCut = true
    }
    for await (const claim of this.#each(image, onCut)) claims.push(claim)
    return isCut ? [] : claims
  }

  async *#each({ repository, digest }: ImageName, onCut?: () => void): AsyncGenerator<Claim> {
    const { names } = this.#options
    for await (const found of this.#tagsAbove(repository, digest, onCut)) {
      const entry = found.digest === digest ? found : await names.findManifest(repository, digest)
      if (entry === undefined) return
      const { mediaType, size } = entry
      yield this.#claim({ repository, digest, mediaType, size }, homeOf(found), found)
    }
  }

  /** Of one that no tag asks for, but that lives: for a member that wants to be rid of it. */
  async ofUntagged({ repository, digest }: ImageName): Promise<Claim | undefined> {
    const entry = await this.#options.names.findManifest(repository, digest)
    return entry === undefined ? undefined : this.ofTag(repository, entry)
  }

  #claim(image: Image, key: Digest, entry: TagEntry | ManifestEntry): Claim {
    const { author, writtenMs } = entry
    const checkedMs = 'checkedMs' in entry ? entry.checkedMs : undefined
    const copies = copiesOf(this.#options.policy(), image.repository, { isMirrored: checkedMs !== undefined })
    return { image, key, copies, author, sinceMs: writtenMs, isMirrored: checkedMs !== undefined }
  }

  /** Tags of it, of what it refers to, and of what lists it. */
  async *#tagsAbove(
    repository: Repository,
    digest: Digest,
    onCut: () => void = () => undefined,
  ): AsyncGenerator<TagEntry> {
    const { names, parentsOf } = this.#options
    const seen = new Set([digest])
    for (const next of seen) {
      if (seen.size > maxSteps) return onCut()
      yield* this.#tagsOf(repository, next, onCut)
      const subject = (await names.findManifest(repository, next))?.subject
      if (subject !== undefined) seen.add(subject)
      for await (const parent of parentsOf(repository, next)) {
        seen.add(parent)
        if (seen.size > maxSteps) break
      }
    }
  }

  /** One for each home, and for each author, who keeps what is to be nowhere else. */
  async *#tagsOf(repository: Repository, digest: Digest, onCut: () => void): AsyncGenerator<TagEntry> {
    const { names } = this.#options
    const seen = new Set<string>()
    const tags = await names.tagsOf(repository, digest)
    if (tags.length > maxTags) onCut()
    for (const tag of tags.slice(0, maxTags)) {
      const entry = await names.findTag(repository, tag)
      if (entry?.digest !== digest) continue
      const owned = `${homeOf(entry)} ${entry.author}`
      if (seen.has(owned)) continue
      if (seen.size === maxHomes) return onCut()
      seen.add(owned)
      yield entry
    }
  }
}
