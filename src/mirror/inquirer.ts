/**
 * Asks an upstream for the whole cluster, as the member that is ranked first for the question: keeps the manifest, publishes what
 * the upstream said as signed records, and answers with them. What was just answered is not asked again.
 */
import { type Logger, SingleFlight } from '../base/base.ts'
import { manifestFacts, parseManifest, type Repository, withoutUpstream } from '../oci/oci.ts'
import type { Change, TagEntry } from '../records/records.ts'
import { type Upstream, type UpstreamManifest, UpstreamUnavailableError } from '../upstream/upstream.ts'
import { CircuitBreakers } from './circuit-breaker.ts'
import type { ShortQuestion } from './delegates.ts'
import { failureOf } from './failures.ts'
import { absentMs, KnownAnswers, type KnownAnswersOptions } from './known-answers.ts'
import {
  type Answer,
  failure,
  type ManifestQuestion,
  questionName,
  type ReferrersQuestion,
  type TagQuestion,
} from './messages.ts'
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
/** With so many questions under way none is begun for a member: names cost them nothing, and clients here wait behind them. */
const maxAsking = 256
/** A check that found nothing new is published so often at most, however often it is made. */
const republishMs = 60_000

export class Inquirer {
  readonly #options: InquirerOptions
  readonly #breakers: CircuitBreakers
  readonly #known: KnownAnswers
  readonly #referrers: ReferrerInquiry
  readonly #flights = new SingleFlight<Answer>()
  #asking = 0

  constructor(options: InquirerOptions) {
    this.#options = options
    this.#breakers = new CircuitBreakers(options.clock)
    this.#known = new KnownAnswers(options)
    this.#referrers = new ReferrerInquiry(options)
  }

  /** Never throws for what the upstream does. */
  async answer(question: ShortQuestion, { isForMember = false } = {}): Promise<Answer> {
    const upstream = this.#options.findUpstream(question.repository)
    if (upstream === undefined)
      return failure('unable', 'is not mirrored for everyone by the member that was asked')
    const known = await this.#known.find(question)
    if (known !== undefined) return known
    return this.#flights.run(questionName(question), async () => {
      if (isForMember && this.#asking >= maxAsking)
        return failure('unable', 'is asked by a member that has too much to ask')
      this.#asking++
      try {
        return await this.#ask(upstream, question)
      } finally {
        this.#asking--
      }
    })
  }

  async #ask(upstream: Upstream, question: ShortQuestion): Promise<Answer> {
    // Of what this node has seen itself: members' words for it are passed on to nobody.
    const breaker = this.#breakers.of(upstream.name)
    const { failure: known } = breaker
    if (known !== undefined && !breaker.mayAsk()) return known
    const silent = new UpstreamUnavailableError(upstream.name, 'unreachable', 'does not answer')
    const heard = new AbortController()
    const over = new AbortController()
    const asking = new AbortController()
    this.#afterMs(slowMs, heard.signal, () => breaker.failed(failure('unreachable', silent.reason)))
    this.#afterMs(giveUpMs, over.signal, () => asking.abort(silent))
    try {
      return await this.#put(upstream, question, {
        signal: asking.signal,
        onHeard: () => {
          heard.abort(new Error('the upstream has answered'))
          breaker.answered()
        },
      })
    } catch (error) {
      return this.#failed(upstream, question, error)
    } finally {
      heard.abort(new Error('the upstream is not waited for'))
      over.abort(new Error('the question is answered'))
    }
  }

  async #put(upstream: Upstream, question: ShortQuestion, { signal, onHeard }: Waiting): Promise<Answer> {
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

  #failed(upstream: Upstream, question: ShortQuestion, error: unknown): Answer {
    const failed = failureOf(question, error)
    const isSaid = error instanceof UpstreamUnavailableError
    if (isSaid && failed.trouble === 'denied') this.#known.denied(question, failed)
    else if (isSaid) this.#breakers.of(upstream.name).failed(failed)
    return failed
  }

  #afterMs(ms: number, signal: AbortSignal, action: () => void): void {
    this.#options.clock.sleep(ms, { signal }).then(action, (error: unknown) => {
      if (!signal.aborted) throw error
    })
  }
}
