/**
 * Asks an upstream for the whole cluster, as the member that is ranked first for the question: keeps the manifest, publishes what
 * the upstream said as signed records, and answers with them. What was just answered is not asked again.
 */
import { type Clock, CodedError, type Logger, SingleFlight } from '../base/base.ts'
import {
  type Digest,
  manifestFacts,
  OciError,
  parseManifest,
  type Repository,
  withoutUpstream,
} from '../oci/oci.ts'
import type { Change, Ledger, TagEntry } from '../records/records.ts'
import { type Upstream, type UpstreamManifest, UpstreamUnavailableError } from '../upstream/upstream.ts'
import { type Checks, lastCheckMs } from './checks.ts'
import {
  type Answer,
  type ManifestQuestion,
  type Question,
  questionName,
  reasonText,
  type TagQuestion,
} from './messages.ts'
import { type Failure, Outages } from './outage.ts'

export interface InquirerOptions {
  /** The repository's upstream, where it is one of this node's and its content is for everyone. */
  findUpstream(repository: Repository): Upstream | undefined
  names: Ledger
  /** Whether this node has the manifest's bytes. */
  holds(digest: Digest): Promise<boolean>
  /** Stores a manifest whose bytes are proven, and lets its repository read what it refers to. */
  keep(repository: Repository, manifest: UpstreamManifest): Promise<void>
  checks: Checks
  clock: Clock
  logger: Logger
}

/** A manifest that was fetched, or one that is known. */
type Said = UpstreamManifest | Pick<TagEntry, 'digest' | 'mediaType' | 'size'>

/** How long "there is no such thing" is believed. */
export const absentMs = 30_000
/** From then on others are told that the upstream does not answer; this node goes on waiting, to know when it does. */
const slowMs = 3_000
const giveUpMs = 20_000
/** A check that found nothing new is published so often at most, however often it is made. */
const republishMs = 60_000

export class Inquirer {
  readonly #options: InquirerOptions
  readonly #outages: Outages
  readonly #flights = new SingleFlight<Answer>()

  constructor(options: InquirerOptions) {
    this.#options = options
    this.#outages = new Outages(options.clock)
  }

  /** Never throws for what the upstream does. */
  async answer(question: Question): Promise<Answer> {
    const upstream = this.#options.findUpstream(question.repository)
    if (upstream === undefined) {
      return { answer: 'refused', reason: 'the member that was asked does not mirror it for everyone' }
    }
    const known = await (question.about === 'tag' ? this.#knownTag(question) : this.#knownManifest(question))
    return known ?? this.#flights.run(questionName(question), () => this.#ask(upstream, question))
  }

  async #knownTag(question: TagQuestion): Promise<Answer | undefined> {
    const { names, checks, clock } = this.#options
    const { repository, tag, maxAgeMs } = question
    const name = questionName(question)
    const standing = await names.findTag(repository, tag)
    const nowMs = clock.now()
    const ageMs = standing === undefined ? undefined : nowMs - lastCheckMs(standing, name, checks, nowMs)
    const absentForMs = nowMs - (checks.heardMs(name, undefined) ?? Number.NEGATIVE_INFINITY)
    if (absentForMs < Math.min(absentMs, maxAgeMs) && absentForMs < (ageMs ?? Number.POSITIVE_INFINITY)) {
      return { answer: 'absent' }
    }
    if (standing === undefined || ageMs === undefined || ageMs >= maxAgeMs) return undefined
    return this.#there(question, standing.digest, ageMs)
  }

  async #knownManifest(question: ManifestQuestion): Promise<Answer | undefined> {
    const { names, checks, clock, holds } = this.#options
    const { repository, digest } = question
    const isPublished = (await names.findManifest(repository, digest)) !== undefined
    if (isPublished && (await holds(digest))) return this.#there(question, digest, 0)
    const absentSinceMs = checks.heardMs(questionName(question), undefined)
    return absentSinceMs !== undefined && clock.now() - absentSinceMs < absentMs
      ? { answer: 'absent' }
      : undefined
  }

  async #ask(upstream: Upstream, question: Question): Promise<Answer> {
    const outage = this.#outages.of(upstream.name)
    const { failure } = outage
    if (failure !== undefined && !outage.mayAsk()) return failure
    const silent = new UpstreamUnavailableError(upstream.name, 'unreachable', 'does not answer')
    const waiting = new AbortController()
    const asking = new AbortController()
    this.#afterMs(slowMs, waiting.signal, () => outage.failed({ answer: 'failed', reason: silent.message }))
    this.#afterMs(giveUpMs, waiting.signal, () => asking.abort(silent))
    try {
      const { signal } = asking
      const said = await (question.about === 'tag'
        ? this.#checkTag(upstream, question, signal)
        : upstream.getManifest(withoutUpstream(question.repository), { digest: question.digest }, { signal }))
      outage.answered()
      return await this.#publish(question, said)
    } catch (error) {
      return this.#failed(upstream, error)
    } finally {
      waiting.abort(new Error('the upstream has answered'))
    }
  }

  /** One HEAD where the tag is known; what it points to is fetched only when that is new. */
  async #checkTag(
    upstream: Upstream,
    { repository, tag }: TagQuestion,
    signal: AbortSignal,
  ): Promise<Said | undefined> {
    const { names } = this.#options
    const standing = await names.findTag(repository, tag)
    const there = withoutUpstream(repository)
    if (standing === undefined) return upstream.getManifest(there, { tag }, { signal })
    const found = await upstream.statManifest(there, { tag }, { signal })
    if (found === undefined) return undefined
    if (found.digest === standing.digest) return standing
    const known = await names.findManifest(repository, found.digest)
    if (known !== undefined) return known
    // By tag, not by digest: whatever it has become meanwhile, its bytes say what they are.
    return upstream.getManifest(there, { tag }, { signal })
  }

  async #publish(question: Question, said: Said | undefined): Promise<Answer> {
    const { names, checks, clock, keep, logger } = this.#options
    const { repository } = question
    const name = questionName(question)
    const nowMs = Math.floor(clock.now())
    checks.note(name, { atMs: nowMs, digest: said?.digest })
    if (said === undefined) return { answer: 'absent' }
    const { digest, mediaType } = said
    const changes: Change[] = []
    let size = 'bytes' in said ? said.bytes.length : said.size
    if ('bytes' in said) {
      const manifest = parseManifest(said.bytes, mediaType)
      await keep(repository, said)
      if ((await names.findManifest(repository, digest))?.mediaType !== mediaType) {
        changes.push({ kind: 'manifest', repository, digest, value: manifestFacts(manifest, size) })
      }
    }
    if (question.about === 'tag') {
      const { tag } = question
      const standing = await names.findTag(repository, tag)
      const isSame = standing?.digest === digest
      if (isSame) size = standing.size
      // One from the future is put right, too.
      if (!isSame || Math.abs(nowMs - (standing.checkedMs ?? 0)) >= republishMs) {
        changes.push({ kind: 'tag', repository, tag, value: { digest, mediaType, size, checkedMs: nowMs } })
      }
    }
    if (changes.length > 0) await names.publish(changes)
    logger.debug({ name, digest, records: changes.length }, 'asked an upstream')
    return this.#there(question, digest, 0)
  }

  #there(question: Question, digest: Digest, ageMs: number): Answer {
    const { names } = this.#options
    const { repository } = question
    const records = [
      names.findRecord({ kind: 'manifest', repository, digest }),
      question.about === 'tag' ? names.findRecord({ kind: 'tag', repository, tag: question.tag }) : undefined,
    ]
    return {
      answer: 'there',
      digest,
      ageMs: Math.max(0, Math.floor(ageMs)),
      records: records.filter((record) => record !== undefined),
    }
  }

  #failed(upstream: Upstream, error: unknown): Answer {
    if (!(error instanceof CodedError)) throw error
    const reason = reasonText(error.message)
    if (error instanceof OciError) {
      return {
        answer: 'unusable',
        reason: reasonText(`what ${upstream.name} gives is no manifest: ${error.message}`),
      }
    }
    if (error.code === 'NOT_PERMITTED') return { answer: 'refused', reason }
    if (!(error instanceof UpstreamUnavailableError)) return { answer: 'failed', reason }
    const { trouble, retryAfterMs } = error
    const failure: Failure = {
      answer: trouble === 'paused' ? 'limited' : 'failed',
      reason,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.ceil(retryAfterMs) }),
    }
    this.#outages.of(upstream.name).failed(failure)
    return failure
  }

  #afterMs(ms: number, signal: AbortSignal, action: () => void): void {
    this.#options.clock.sleep(ms, { signal }).then(action, (error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
}
