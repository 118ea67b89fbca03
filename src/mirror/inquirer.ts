/**
 * Asks an upstream for the whole cluster, as the member that is ranked first for the question: keeps the manifest, publishes what
 * the upstream said as signed records, and answers with them. What was just answered is not asked again.
 */
import { CodedError, type Logger, SingleFlight } from '../base/base.ts'
import { manifestFacts, OciError, parseManifest, type Repository, withoutUpstream } from '../oci/oci.ts'
import type { Change, TagEntry } from '../records/records.ts'
import { type Upstream, type UpstreamManifest, UpstreamUnavailableError } from '../upstream/upstream.ts'
import { absentMs, KnownAnswers, type KnownAnswersOptions } from './known-answers.ts'
import {
  type Answer,
  type ManifestQuestion,
  type Question,
  questionName,
  type ReferrersQuestion,
  reasonText,
  type TagQuestion,
} from './messages.ts'
import { type Failure, Outages } from './outage.ts'
import { ReferrerInquiry } from './referrer-inquiry.ts'

export interface InquirerOptions extends KnownAnswersOptions {
  /** The repository's upstream, where it is one of this node's and its content is for everyone. */
  findUpstream(repository: Repository): Upstream | undefined
  /** Stores a manifest whose bytes are proven, and lets its repository read what it refers to. */
  keep(repository: Repository, manifest: UpstreamManifest): Promise<void>
  logger: Logger
}

interface Waiting {
  signal: AbortSignal
  /** The upstream has answered; what follows may take longer. */
  onHeard(): void
}

/** A manifest that was fetched, or one that is known. */
type Said = UpstreamManifest | Pick<TagEntry, 'digest' | 'mediaType' | 'size'>

/** From then on others are told that the upstream does not answer; this node goes on waiting, to know when it does. */
const slowMs = 3_000
const giveUpMs = 20_000
/** A check that found nothing new is published so often at most, however often it is made. */
const republishMs = 60_000

export class Inquirer {
  readonly #options: InquirerOptions
  readonly #outages: Outages
  readonly #known: KnownAnswers
  readonly #referrers: ReferrerInquiry
  readonly #flights = new SingleFlight<Answer>()

  constructor(options: InquirerOptions) {
    this.#options = options
    this.#outages = new Outages(options.clock)
    this.#known = new KnownAnswers(options)
    this.#referrers = new ReferrerInquiry(options)
  }

  /** Never throws for what the upstream does. */
  async answer(question: Question): Promise<Answer> {
    const upstream = this.#options.findUpstream(question.repository)
    if (upstream === undefined) {
      return { answer: 'refused', reason: 'the member that was asked does not mirror it for everyone' }
    }
    const known = await this.#known.find(question)
    return known ?? this.#flights.run(questionName(question), () => this.#ask(upstream, question))
  }

  async #ask(upstream: Upstream, question: Question): Promise<Answer> {
    const outage = this.#outages.of(upstream.name)
    const { failure } = outage
    if (failure !== undefined && !outage.mayAsk()) return failure
    const silent = new UpstreamUnavailableError(upstream.name, 'unreachable', 'does not answer')
    const heard = new AbortController()
    const over = new AbortController()
    const asking = new AbortController()
    this.#afterMs(slowMs, heard.signal, () => outage.failed({ answer: 'failed', reason: silent.message }))
    this.#afterMs(giveUpMs, over.signal, () => asking.abort(silent))
    try {
      return await this.#put(upstream, question, {
        signal: asking.signal,
        onHeard: () => {
          heard.abort(new Error('the upstream has answered'))
          outage.answered()
        },
      })
    } catch (error) {
      return this.#failed(upstream, question, error)
    } finally {
      heard.abort(new Error('the upstream is not waited for'))
      over.abort(new Error('the question is answered'))
    }
  }

  async #put(upstream: Upstream, question: Question, { signal, onHeard }: Waiting): Promise<Answer> {
    if (question.about === 'referrers') return this.#list(upstream, question, { signal, onHeard })
    const { repository } = question
    const said = await (question.about === 'tag'
      ? this.#checkTag(upstream, question, signal)
      : upstream.getManifest(withoutUpstream(repository), { digest: question.digest }, { signal }))
    onHeard()
    return this.#publish(question, said)
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

  async #list(upstream: Upstream, question: ReferrersQuestion, waiting: Waiting): Promise<Answer> {
    const { lists, clock } = this.#options
    const { digests, isWhole } = await this.#referrers.ask(upstream, question, waiting)
    // One that lacks something is believed as long as that there is no such thing.
    const ageMs = isWhole ? 0 : Math.max(0, question.maxAgeMs - absentMs)
    const heard = { atMs: clock.now() - ageMs, digests }
    lists.note(questionName(question), heard)
    return this.#known.listed(question, heard)
  }

  async #publish(question: TagQuestion | ManifestQuestion, said: Said | undefined): Promise<Answer> {
    const { names, checks, clock, wall, keep, logger } = this.#options
    const { repository } = question
    const name = questionName(question)
    checks.note(name, { atMs: clock.now(), digest: said?.digest })
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
      const checkedMs = Math.floor(wall.now())
      if (isSame) size = standing.size
      // One from the future is put right, too.
      if (!isSame || Math.abs(checkedMs - (standing.checkedMs ?? 0)) >= republishMs) {
        changes.push({ kind: 'tag', repository, tag, value: { digest, mediaType, size, checkedMs } })
      }
    }
    if (changes.length > 0) await names.publish(changes)
    logger.debug({ name, digest, records: changes.length }, 'asked an upstream')
    return this.#known.there(question, digest, 0)
  }

  #failed(upstream: Upstream, question: Question, error: unknown): Answer {
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
    if (trouble === 'denied') return this.#known.denied(question, reason)
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
