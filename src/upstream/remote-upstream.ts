/** An upstream as a registry: the distribution-spec's questions, and answers that are checked before anyone trusts them. */
import type { Clock, Metrics } from '../base/base.ts'
import { type Digest, maxManifestBytes, type Reference, type Repository } from '../oci/oci.ts'
import { Availability } from './availability.ts'
import { readBlobHead, readExactly } from './blob-answers.ts'
import { discard, readWhole } from './bodies.ts'
import { UpstreamUnavailableError } from './errors.ts'
import { acceptManifests, checkManifest, readManifestHead } from './manifests.ts'
import { listReferrers, type ReferrerSource } from './referrers.ts'
import { Requests } from './requests.ts'
import { Sender } from './sender.ts'
import type { Answer, Transport } from './transport.ts'
import type {
  Upstream,
  UpstreamBlob,
  UpstreamLimits,
  UpstreamManifest,
  UpstreamOptions,
  UpstreamStatus,
} from './upstream.ts'

interface Collaborators {
  transport: Transport
  clock: Clock
  metrics: Metrics
}

type Options = { signal?: AbortSignal }
type Kind = 'manifest' | 'blob' | 'referrers'

/** Many registries do not tell what is not there from what is not for everybody. */
const forbidden = new Set([401, 403])

export class RemoteUpstream implements Upstream {
  readonly name: string
  readonly isShared: boolean
  readonly #url: string
  readonly #availability: Availability
  readonly #requests: Requests
  readonly #metrics: Metrics
  readonly #requested = { manifest: 0, blob: 0, referrers: 0 }
  #receivedBytes = 0

  constructor(options: UpstreamOptions, limits: UpstreamLimits, collaborators: Collaborators) {
    const { transport, clock, metrics } = collaborators
    this.name = options.name
    this.isShared = options.isShared ?? options.credentials === undefined
    this.#url = options.url.origin
    this.#metrics = metrics
    this.#availability = new Availability(options.name, clock)
    const isReachable = () => (this.#availability.status().reachable === false ? 0 : 1)
    metrics.gauge('shoal_upstream_reachable', isReachable, { upstream: options.name })
    this.#requests = new Requests({
      url: options.url,
      authHosts: options.authHosts ?? [],
      credentials: options.credentials,
      answerMs: limits.answerMs,
      sender: new Sender(transport, this.#availability, clock),
      availability: this.#availability,
      clock,
    })
  }

  async statManifest(repository: Repository, reference: Reference, options: Options = {}) {
    const path = manifestPath(repository, reference)
    const answer = await this.#ask('manifest', 'HEAD', repository, path, { accept: acceptManifests }, options)
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
    const path = manifestPath(repository, reference)
    const answer = await this.#ask('manifest', 'GET', repository, path, { accept: acceptManifests }, options)
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
    const headers = start === 0 ? {} : { range: `bytes=${start}-` }
    const answer = await this.#ask(
      'blob',
      'GET',
      repository,
      `/v2/${repository}/blobs/${digest}`,
      headers,
      options,
    )
    if (answer === undefined) return undefined
    await using opened = new AsyncDisposableStack()
    opened.defer(async () => void answer.body.destroy())
    const head = readBlobHead(answer, start, this.#availability)
    const chunks = readExactly(answer, head.size - head.start, this.#availability, {
      ...options,
      onBytes: async (count) => this.#count(count),
    })
    const resources = opened.move()
    return { ...head, chunks, [Symbol.asyncDispose]: () => resources.disposeAsync() }
  }

  listReferrers(repository: Repository, subject: Digest, options: Options = {}): Promise<Digest[]> {
    const source: ReferrerSource = {
      availability: this.#availability,
      get: (path, accept, signals) => this.#ask('referrers', 'GET', repository, path, { accept }, signals),
      getManifest: (reference, signals) => this.getManifest(repository, reference, signals),
    }
    return listReferrers(source, repository, subject, options)
  }

  status(): UpstreamStatus {
    return {
      name: this.name,
      url: this.#url,
      isShared: this.isShared,
      ...this.#availability.status(),
      manifestRequests: this.#requested.manifest,
      blobRequests: this.#requested.blob,
      receivedBytes: this.#receivedBytes,
    }
  }

  /** `undefined` where the upstream has no such thing. The body of an answer has to be read or destroyed. */
  async #ask(
    kind: Kind,
    method: 'GET' | 'HEAD',
    repository: Repository,
    path: string,
    headers: Record<string, string>,
    options: Options,
  ): Promise<Answer | undefined> {
    this.#requested[kind]++
    let outcome = 'cancelled'
    try {
      const answer = await this.#requests.send({ method, repository, path, headers }, options)
      const usable = this.#usable(answer, method, headers)
      outcome = usable === undefined ? 'absent' : 'answered'
      return usable
    } catch (error) {
      if (error instanceof UpstreamUnavailableError) outcome = error.trouble
      throw error
    } finally {
      this.#metrics.count('shoal_upstream_requests_total', { upstream: this.name, kind, outcome })
    }
  }

  #usable(answer: Answer, method: 'GET' | 'HEAD', headers: Record<string, string>): Answer | undefined {
    const { status } = answer
    if (status === 200 || (status === 206 && headers.range !== undefined)) return answer
    // A registry without HEAD is asked by GET.
    if (status === 405 && method === 'HEAD') return answer
    discard(answer.body)
    const isOwn = this.#requests.isOwn(answer)
    if (status === 404 || (isOwn && forbidden.has(status))) return undefined
    const whose = isOwn ? '' : `redirects to ${answer.url.host}, which `
    throw this.#availability.trouble('wrong', `${whose}answers ${status}`)
  }

  #count(bytes: number): void {
    this.#receivedBytes += bytes
    this.#metrics.count('shoal_upstream_received_bytes_total', { upstream: this.name }, bytes)
  }
}

function manifestPath(repository: Repository, reference: Reference): string {
  return `/v2/${repository}/manifests/${'tag' in reference ? reference.tag : reference.digest}`
}
