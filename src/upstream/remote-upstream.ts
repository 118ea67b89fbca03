/** An upstream as a registry: the distribution-spec's questions, and answers that are checked before anyone trusts them. */
import { type Clock, type Metrics, Semaphore } from '../base/base.ts'
import {
  type Digest,
  maxManifestBytes,
  parseRepository,
  type Reference,
  type Repository,
} from '../oci/oci.ts'
import { Availability } from './availability.ts'
import { readBlobHead, readExactly } from './blob-answers.ts'
import { discard, readWhole } from './bodies.ts'
import { UpstreamUnavailableError } from './errors.ts'
import { listNames } from './listings.ts'
import { acceptManifests, checkManifest, readManifestHead } from './manifests.ts'
import { listReferrers, type ReferrerSource } from './referrers.ts'
import { type Question, type Reached, Requests } from './requests.ts'
import { Sender } from './sender.ts'
import type { Answer, Transport } from './transport.ts'
import type {
  Budget,
  Upstream,
  UpstreamBlob,
  UpstreamChange,
  UpstreamLimits,
  UpstreamManifest,
  UpstreamOptions,
  UpstreamStatus,
} from './upstream.ts'

interface Collaborators {
  transport: Transport
  clock: Clock
  metrics: Metrics
  onChange(change: UpstreamChange): void
}

type Options = { signal?: AbortSignal }
type Kind = 'manifest' | 'blob' | 'referrers' | 'names'

/** Without an answer yet, so that an upstream that hangs is not asked by everybody at once. */
const maxQuestions = 32

const namesAtOnce = 1000

/** Many registries do not tell what is not there from what is not for everybody. */
const forbidden = new Set([401, 403])

/** Of what a manifest named, which was read, nothing more can be said than that it is not there. */
async function unlessDenied<T>(asking: Promise<T>): Promise<T | undefined> {
  try {
    return await asking
  } catch (error) {
    if (error instanceof UpstreamUnavailableError && error.trouble === 'denied') return undefined
    throw error
  }
}

export class RemoteUpstream implements Upstream {
  readonly name: string
  readonly isShared: boolean
  readonly maxBlobs: number
  readonly #url: string
  readonly #hasCredentials: boolean
  readonly #credentialsFrom: string | undefined
  readonly #availability: Availability
  readonly #requests: Requests
  readonly #metrics: Metrics
  readonly #clock: Clock
  readonly #answerMs: number
  readonly #budget: Budget | undefined
  readonly #blobs: Semaphore
  readonly #questions = new Semaphore(maxQuestions)
  readonly #requested = { manifest: 0, blob: 0, referrers: 0, names: 0 }
  #receivedBytes = 0

  constructor(options: UpstreamOptions, limits: UpstreamLimits, collaborators: Collaborators) {
    const { transport, clock, metrics, onChange } = collaborators
    this.name = options.name
    this.isShared = options.isShared ?? options.credentials === undefined
    this.#url = options.url.origin
    this.#hasCredentials = options.credentials !== undefined
    this.#credentialsFrom = options.credentialsFrom
    this.#metrics = metrics
    this.#clock = clock
    this.#answerMs = limits.answerMs
    this.#budget = options.budget
    this.maxBlobs = limits.maxBlobs
    this.#blobs = new Semaphore(limits.maxBlobs)
    this.#availability = new Availability(options.name, clock, onChange)
    const isReachable = () => (this.#availability.status().reachable === false ? 0 : 1)
    metrics.gauge('shoal_upstream_reachable', isReachable, { upstream: options.name })
    this.#requests = new Requests({
      url: options.url,
      authHosts: options.authHosts ?? [],
      credentials: options.credentials,
      sender: new Sender(transport, this.#availability, clock),
      availability: this.#availability,
      clock,
    })
  }

  async statManifest(repository: Repository, reference: Reference, options: Options = {}) {
    const question = manifestQuestion('HEAD', repository, reference)
    const answer = await this.#ask('manifest', question, options)
    if (answer === undefined) return undefined
    discard(answer.body)
    const head = answer.status === 200 ? readManifestHead(answer.headers, reference) : undefined
    if (head !== undefined) return head
    const manifest = await this.getManifest(repository, reference, options)
    if (manifest === undefined) return undefined
    const { digest, mediaType, bytes } = manifest
    return { digest, mediaType, size: bytes.length }
  }

  async getManifest(
    repository: Repository,
    reference: Reference,
    options: Options = {},
  ): Promise<UpstreamManifest | undefined> {
    const question = manifestQuestion('GET', repository, reference)
    const answer = await this.#ask('manifest', question, options)
    if (answer === undefined) return undefined
    const bytes = await readWhole(answer, maxManifestBytes, this.#availability, options)
    this.#count(bytes.length)
    return checkManifest(bytes, answer.headers, reference, this.#availability)
  }

  async openBlob(
    repository: Repository,
    digest: Digest,
    { start = 0, ...options }: { start?: number; signal?: AbortSignal } = {},
  ): Promise<UpstreamBlob | undefined> {
    await using opened = new AsyncDisposableStack()
    opened.use(await this.#blobs.acquire(options))
    const headers = start === 0 ? {} : { range: `bytes=${start}-` }
    const path = `/v2/${repository}/blobs/${digest}`
    const question: Question = { method: 'GET', repository, path, headers }
    const answer = await unlessDenied(this.#ask('blob', question, options))
    if (answer === undefined) return undefined
    const closing = new AbortController()
    opened.defer(async () => {
      closing.abort(new Error('the blob was closed'))
      answer.body.destroy()
    })
    const head = readBlobHead(answer, start, this.#availability)
    const { signal = closing.signal } = options
    const chunks = readExactly(answer, head.size - head.start, this.#availability, {
      signal: AbortSignal.any([signal, closing.signal]),
      onBytes: (count) => this.#passOn(count, options),
    })
    const resources = opened.move()
    return { ...head, chunks, [Symbol.asyncDispose]: () => resources.disposeAsync() }
  }

  listReferrers(repository: Repository, subject: Digest, options: Options = {}): Promise<Digest[]> {
    const source: ReferrerSource = {
      availability: this.#availability,
      get: (path, accept, signals) => {
        const question: Question = { method: 'GET', repository, path, headers: { accept } }
        return unlessDenied(this.#ask('referrers', question, signals))
      },
      getManifest: (reference, signals) => unlessDenied(this.getManifest(repository, reference, signals)),
    }
    return listReferrers(source, repository, subject, options)
  }

  /** In pages, as they are read. Throws UpstreamUnavailableError. */
  listTags(repository: Repository, options: Options = {}): AsyncGenerator<string> {
    const get = (path: string) =>
      this.#ask('names', { method: 'GET', repository, path, headers: {} }, options)
    return listNames(`/v2/${repository}/tags/list?n=${namesAtOnce}`, 'tags', get, this.#availability)
  }

  /** Only where it needs no token for that: a token's scope is one repository. */
  listRepositories(options: Options = {}): AsyncGenerator<string> {
    const repository = parseRepository('catalog')
    const get = (path: string) =>
      this.#ask('names', { method: 'GET', repository, path, headers: {} }, options)
    return listNames(`/v2/_catalog?n=${namesAtOnce}`, 'repositories', get, this.#availability)
  }

  status(): UpstreamStatus {
    return {
      name: this.name,
      url: this.#url,
      isShared: this.isShared,
      ...this.#availability.status(),
      ...this.#credentialsStatus(),
      manifestRequests: this.#requested.manifest,
      blobRequests: this.#requested.blob,
      receivedBytes: this.#receivedBytes,
    }
  }

  #credentialsStatus(): Pick<UpstreamStatus, 'credentials'> {
    if (!this.#hasCredentials) return {}
    const from = this.#credentialsFrom
    return {
      credentials: { ...(from === undefined ? {} : { from }), refused: this.#availability.isRefusing },
    }
  }

  /** `undefined` where the upstream has no such thing. The body of an answer has to be read or destroyed. */
  async #ask(kind: Kind, question: Question, options: Options): Promise<Answer | undefined> {
    let outcome = 'cancelled'
    try {
      using _turn = await this.#questions.acquire(options)
      this.#availability.check(this.#answerMs)
      this.#requested[kind]++
      const usable = this.#usable(await this.#requests.send(question, options), question)
      outcome = usable === undefined ? 'absent' : 'answered'
      return usable
    } catch (error) {
      if (error instanceof UpstreamUnavailableError) outcome = error.trouble
      throw error
    } finally {
      this.#metrics.count('shoal_upstream_requests_total', { upstream: this.name, kind, outcome })
    }
  }

  #usable({ answer, isOwn }: Reached, { method, repository, headers }: Question): Answer | undefined {
    const { status } = answer
    if (isOwn && !forbidden.has(status)) this.#availability.taken()
    if (status === 200 || (status === 206 && headers.range !== undefined)) return answer
    // A registry without HEAD is asked by GET.
    if (status === 405 && method === 'HEAD') return answer
    discard(answer.body)
    if (status === 404) return undefined
    if (isOwn && forbidden.has(status)) throw this.#denied(repository)
    const whose = isOwn ? '' : `redirects to ${answer.url.host}, which `
    throw this.#availability.trouble('wrong', `${whose}answers ${status}`)
  }

  /** Not for the status: it says nothing of the upstream, and names what somebody pulled. */
  #denied(repository: Repository): UpstreamUnavailableError {
    const advice = this.#hasCredentials
      ? 'its credentials may not read it'
      : 'it wants credentials, and none are configured'
    return new UpstreamUnavailableError(
      this.name,
      'denied',
      `does not let this node read ${repository}: there is no such repository, or ${advice}`,
    )
  }

  async #passOn(bytes: number, options: Options): Promise<void> {
    this.#count(bytes)
    const waitMs = this.#budget?.take(bytes, this.#clock.now()) ?? 0
    if (waitMs > 0) await this.#clock.sleep(waitMs, options)
  }

  #count(bytes: number): void {
    this.#receivedBytes += bytes
    this.#metrics.count('shoal_upstream_received_bytes_total', { upstream: this.name }, bytes)
  }
}

function manifestQuestion(method: 'GET' | 'HEAD', repository: Repository, reference: Reference): Question {
  const name = 'tag' in reference ? reference.tag : reference.digest
  return {
    method,
    repository,
    path: `/v2/${repository}/manifests/${name}`,
    headers: { accept: acceptManifests },
  }
}
