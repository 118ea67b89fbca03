/** An upstream in memory that counts what it is asked, and can be away, silent, or tired of being asked. */
import { type Digest, digestBytes, mediaTypes, type Reference, type Repository } from '../../src/oci/oci.ts'
import {
  type Upstream,
  type UpstreamManifest,
  type Upstreams,
  type UpstreamTrouble,
  UpstreamUnavailableError,
} from '../../src/upstream/upstream.ts'

export type Weather = 'fine' | 'cut' | 'silent' | 'limited' | 'private'

export class FakeUpstream implements Upstream {
  readonly name: string
  isShared = true
  maxBlobs = 8
  weather: Weather = 'fine'
  /** Each request, such as `GET library/alpine:3` and `HEAD library/alpine:3`. */
  readonly asked: string[] = []
  /** What it answers with an error. */
  readonly failing = new Set<Digest>()
  /** What it lists for a subject in the place of what is true. */
  readonly claimed = new Map<Digest, Digest[]>()
  /** Called with each request before it is answered. */
  onAsked: (request: string) => void = () => undefined
  readonly #manifests = new Map<string, UpstreamManifest>()

  constructor(name = 'docker.io') {
    this.name = name
  }

  /** Makes `repository:tag` an image whose config names `content`. */
  push(repository: string, tag: string, content: string, extra: object = {}): Digest {
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(content),
      size: 3,
    }
    const document = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [], ...extra }
    return this.put(repository, tag, Buffer.from(JSON.stringify(document)))
  }

  put(
    repository: string,
    tag: string,
    bytes: Uint8Array,
    mediaType: string = mediaTypes.ociManifest,
  ): Digest {
    const manifest = { digest: digestBytes(bytes), mediaType, bytes }
    this.#manifests.set(`${repository}:${tag}`, manifest)
    this.#manifests.set(`${repository}@${manifest.digest}`, manifest)
    return manifest.digest
  }

  /** A manifest without a tag that refers to `subject`. */
  refer(repository: string, subject: Digest, artifactType: string, extra: object = {}): Digest {
    const descriptor = { mediaType: mediaTypes.ociManifest, digest: subject, size: 3 }
    return this.push(repository, '', artifactType, { artifactType, subject: descriptor, ...extra })
  }

  remove(repository: string, tag: string): void {
    this.#manifests.delete(`${repository}:${tag}`)
  }

  async statManifest(repository: Repository, reference: Reference, options: { signal?: AbortSignal } = {}) {
    const found = await this.#answer('HEAD', repository, reference, options.signal)
    return found && { digest: found.digest, mediaType: found.mediaType, size: found.bytes.length }
  }

  getManifest(repository: Repository, reference: Reference, options: { signal?: AbortSignal } = {}) {
    return this.#answer('GET', repository, reference, options.signal)
  }

  async openBlob(): Promise<undefined> {
    return undefined
  }

  async listReferrers(
    repository: Repository,
    subject: Digest,
    options: { signal?: AbortSignal } = {},
  ): Promise<Digest[]> {
    await this.#weather(`REFERRERS ${repository}@${subject}`, options.signal)
    return this.claimed.get(subject) ?? this.#referring(repository, subject)
  }

  status() {
    const url = `https://${this.name}/`
    return {
      name: this.name,
      url,
      isShared: this.isShared,
      reachable: undefined,
      manifestRequests: 0,
      blobRequests: 0,
      receivedBytes: 0,
    }
  }

  async #answer(
    method: string,
    repository: Repository,
    reference: Reference,
    signal: AbortSignal | undefined,
  ): Promise<UpstreamManifest | undefined> {
    const name = 'tag' in reference ? `${repository}:${reference.tag}` : `${repository}@${reference.digest}`
    await this.#weather(`${method} ${name}`, signal)
    if ('digest' in reference && this.failing.has(reference.digest))
      throw this.#unavailable('wrong', 'answers 500')
    return this.#manifests.get(name)
  }

  async #weather(request: string, signal: AbortSignal | undefined): Promise<void> {
    this.asked.push(request)
    this.onAsked(request)
    if (this.weather === 'cut')
      throw this.#unavailable('unreachable', 'cannot be reached: connection refused')
    if (this.weather === 'limited') throw this.#unavailable('paused', 'asks to wait', 60_000)
    if (this.weather === 'private') throw this.#unavailable('denied', 'does not let this node read it')
    if (this.weather === 'silent') await silence(signal)
  }

  #referring(repository: Repository, subject: Digest): Digest[] {
    const own = [...this.#manifests].filter(([name]) => name.startsWith(`${repository}@`))
    return own.flatMap(([, { digest, bytes }]) => {
      const text = Buffer.from(bytes).toString()
      return text.startsWith('{') && JSON.parse(text).subject?.digest === subject ? [digest] : []
    })
  }

  #unavailable(trouble: UpstreamTrouble, reason: string, retryAfterMs?: number) {
    return new UpstreamUnavailableError(
      this.name,
      trouble,
      reason,
      retryAfterMs === undefined ? {} : { retryAfterMs },
    )
  }
}

export function upstreamsOf(...all: Upstream[]): Upstreams {
  return {
    all,
    find: (name) => all.find((upstream) => upstream.name === name),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

export function digestOf(text: string): Digest {
  return digestBytes(Buffer.from(text))
}

function silence(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
