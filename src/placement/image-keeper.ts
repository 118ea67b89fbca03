/** One image after the other: what a record names becomes an image of a rule, and what is missing of it is brought. */
import { type Clock, CodedError, type Logger, type Metrics } from '../base/base.ts'
import { type Digest, type Repository, siblingOf, type Tag } from '../oci/oci.ts'
import type { Names, TagEntry } from '../records/records.ts'
import { bringImage, type Image, type Library, type Supply } from './image.ts'
import type { Part } from './image-plan.ts'
import { findMatching, type MatchingTag } from './matching.ts'
import { MissingImages } from './missing-images.ts'
import { type KeepRule, matchesRepository, platformsOf } from './rule.ts'
import { ImageSlowError, inTurn } from './turn.ts'

/** What a record named: a tag, or a manifest that may be the referrer of one that is held. */
export type Candidate = { repository: Repository } & ({ tag: Tag } | { digest: Digest })

export interface ImageKeeperOptions {
  names: Pick<Names, 'findTag' | 'findManifest'>
  rules: { list(): readonly KeepRule[] }
  /** Whether this node is to hold an image of a shared rule. */
  isOurs(rule: KeepRule, digest: Digest): boolean
  library: Library
  supply: Supply
  hasSupply(): boolean
  /** Others wait until an image that is on its way is here. */
  isAwaited(): boolean
  clock: Clock
  signal: AbortSignal
  logger: Logger
  metrics: Metrics
}

const maxComplete = 10_000

export class ImageKeeper {
  readonly missing = new MissingImages<Candidate>()
  /** Whether this sweep has met tags that grow old. */
  keepsMirrored = false
  /** Some image came slowly, and gave way. */
  hasGivenWay = false
  readonly #options: ImageKeeperOptions
  /** Images that were found complete in this sweep: one that many tags name is looked at once. */
  readonly #complete = new Set<string>()

  constructor(options: ImageKeeperOptions) {
    this.#options = options
  }

  beginSweep(): void {
    this.missing.begin()
    this.keepsMirrored = false
    this.#complete.clear()
  }

  endSweep(): void {
    this.missing.end()
    this.#complete.clear()
  }

  async keep(candidate: Candidate): Promise<void> {
    const { names, rules } = this.#options
    if ('digest' in candidate) return await this.#keepReferrer(candidate)
    const found = await findMatching(names, rules.list(), candidate.repository, candidate.tag)
    if (found !== undefined) await this.#bringTag(found)
    else await this.#keepSibling(candidate)
  }

  /** Of a sweep: a tag of a mirrored repository is refreshed first, which a record that has just come needs not be. */
  async keepTag(found: MatchingTag): Promise<void> {
    const { repository, tag } = found
    const entry = found.entry.checkedMs === undefined ? found.entry : await this.#refresh(found)
    if (entry === undefined) this.missing.delete(nameOf({ repository, tag }))
    else await this.#bringTag({ ...found, entry })
  }

  async #bringTag({ repository, tag, entry, rules }: MatchingTag): Promise<void> {
    await this.#bring({ repository, tag }, { repository, ...entry }, rules, entry.writtenMs)
  }

  /** What stands is kept when the upstream does not answer. */
  async #refresh({ repository, tag, rules, entry }: MatchingTag): Promise<TagEntry | undefined> {
    const { names, supply, hasSupply, isOurs, signal, logger } = this.#options
    if (!hasSupply() || !rules.some((rule) => !rule.isShared || isOurs(rule, entry.digest))) return entry
    this.keepsMirrored = true
    try {
      await supply.refreshTag(repository, tag, { signal })
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof CodedError)) throw error
      logger.debug({ err: error, repository, tag }, 'a kept tag was not refreshed')
    }
    return await names.findTag(repository, tag)
  }

  /** A signature that comes after its image, by a tag that no rule need name. */
  async #keepSibling(candidate: { repository: Repository; tag: Tag }): Promise<void> {
    const { repository, tag } = candidate
    const entry = siblingOf(tag) && (await this.#options.names.findTag(repository, tag))
    if (entry) await this.#keepBeside(candidate, siblingOf(tag), { repository, ...entry }, entry.writtenMs)
    else this.missing.delete(nameOf(candidate))
  }

  /** A referrer whose subject is not here comes with its subject, if that is kept at all. */
  async #keepReferrer(candidate: { repository: Repository; digest: Digest }): Promise<void> {
    const { repository, digest } = candidate
    const entry = await this.#options.names.findManifest(repository, digest)
    if (entry) await this.#keepBeside(candidate, entry.subject, { repository, ...entry }, entry.writtenMs)
    else this.missing.delete(nameOf(candidate))
  }

  async #keepBeside(
    candidate: Candidate,
    subject: Digest | undefined,
    image: Image,
    sinceMs: number,
  ): Promise<void> {
    const { rules, library } = this.#options
    const { repository } = image
    const near = rules.list().filter((rule) => matchesRepository(rule, repository))
    const isNeeded =
      subject !== undefined &&
      near.length > 0 &&
      (await library.findManifest(repository, subject)) !== undefined
    // Who holds the subject holds what refers to it, so a shared rule asks no further.
    const alone = near.map((rule) => ({ ...rule, isShared: false }))
    if (isNeeded) await this.#bring(candidate, image, alone, sinceMs)
    else this.missing.delete(nameOf(candidate))
  }

  async #bring(candidate: Candidate, image: Image, rules: KeepRule[], sinceMs: number): Promise<void> {
    const { library, supply, hasSupply, logger, metrics, isOurs } = this.#options
    const { repository, digest } = image
    const name = nameOf(candidate)
    const ours = rules.filter((rule) => !rule.isShared || isOurs(rule, digest))
    const identity = `${repository}@${digest} ${ours.map(({ id }) => id).join(' ')}`
    if (ours.length === 0 || this.#complete.has(identity)) {
      this.missing.delete(name)
      return
    }
    let broughtBytes = 0
    let firstCause: CodedError | undefined
    const coming = new Map<Digest, Part>()
    const bring = ({ signal }: { signal: AbortSignal }) =>
      bringImage(image, library, {
        platforms: platformsOf(ours),
        ...(hasSupply() ? { supply } : {}),
        signal,
        onPart(part, state, cause) {
          if (state === 'coming') coming.set(part.digest, part)
          if (state === 'here') {
            coming.delete(part.digest)
            broughtBytes += part.size
            metrics.count('shoal_keep_brought_bytes_total', {}, part.size)
          }
          firstCause ??= cause
        },
      })
    const survey = await inTurn(name, bring, this.#options)
    const isSlow = survey instanceof ImageSlowError
    if (isSlow) this.hasGivenWay = true
    const missing = isSlow ? [...coming.values()] : survey.missing
    if (isSlow || missing.length > 0) {
      this.missing.set(name, { candidate, sinceMs, parts: missing })
      logger.debug(
        { name, digest, missing: missing.length, err: isSlow ? survey : firstCause },
        'a kept image is not complete',
      )
      return
    }
    this.missing.delete(name)
    if (this.#complete.size < maxComplete) this.#complete.add(identity)
    if (broughtBytes > 0) logger.info({ name, digest, broughtBytes }, 'a kept image is complete')
  }
}

export function nameOf(candidate: Candidate): string {
  const { repository } = candidate
  return 'tag' in candidate ? `${repository}:${candidate.tag}` : `${repository}@${candidate.digest}`
}
