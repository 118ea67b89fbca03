/** A registry over real folders on a real port, for tests of the API. */
import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openHttpPort } from '../../node/http-port.ts'
import { quotasOf } from '../../node/quota-rules.ts'
import { openAccess } from '../../src/access/access.ts'
import { type Clock, type Logger, silentLogger, steadyClock, type Tracer } from '../../src/base/base.ts'
import type { HeldAnswers } from '../../src/http/held-answers.ts'
import { type BodyWatch, createHttpHandler, Hosts } from '../../src/http/http.ts'
import { type Digest, digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import { type Ledger, type MembersTime, openLedger } from '../../src/records/records.ts'
import {
  type Ahead,
  createRegistry,
  type Elsewhere,
  type Mirror,
  noMirror,
  nowhere,
  type Secured,
  type Sparse,
} from '../../src/registry/registry.ts'
import { openDatabase, openStore, type Store, type StoreOptions } from '../../src/store/store.ts'
import { openIdentity } from '../../src/swarm/cluster/identity.ts'

export interface Answer {
  status: number
  /** The words of the status line. */
  reason: string
  headers: IncomingHttpHeaders
  body: Buffer
  json: () => unknown
}

export interface CallOptions {
  headers?: Record<string, string | number | string[]>
  body?: Uint8Array | string
}

export interface Api extends AsyncDisposable {
  readonly port: number
  readonly directory: string
  readonly names: Ledger
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** Uploads in one request and returns the digest. */
  pushBlob(repository: string, bytes: Uint8Array | string): Promise<Digest>
  /** Pushes a config, layers and the manifest over them. */
  pushImage(repository: string, reference: string, image?: ImageOptions): Promise<PushedImage>
}

export interface ImageOptions {
  layers?: (Uint8Array | string)[]
  extra?: object
}

export interface PushedImage {
  digest: Digest
  bytes: Buffer
  config: Digest
  layers: Digest[]
}

export interface ApiOptions {
  allowDelete?: boolean
  sparse?: Sparse
  store?: Partial<StoreOptions>
  directory?: string
  tracer?: Tracer
  mirror?: (parts: { store: Store; names: Ledger }) => Mirror
  elsewhere?: Partial<Elsewhere>
  secured?: Secured
  ahead?: Ahead
  clock?: Clock
  /** What members say of the time. */
  time?: MembersTime
  logger?: Logger
  /** Names besides those that every node answers to. */
  hosts?: string[]
  bodies?: BodyWatch
  answers?: HeldAnswers
  contact?: { problem(): string | undefined }
}

export async function openApi(options: ApiOptions = {}): Promise<Api> {
  await using opened = new AsyncDisposableStack()
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'shoal-api-')))
  if (options.directory === undefined) opened.defer(() => rm(directory, { recursive: true, force: true }))
  const database = opened.adopt(await openDatabase(directory), (open) => open.close())
  const identity = await openIdentity(directory)
  const store = opened.use(await openStore({ directory, database, ...options.store }))
  const names = opened.use(
    await openLedger({
      db: database,
      identity,
      authority: identity.publicKey,
      authorityIdentity: identity,
      ...(options.time === undefined ? {} : { time: options.time }),
    }),
  )
  const { allowDelete = true, sparse = 'indexes', clock = steadyClock } = options
  const mirror = options.mirror?.({ store, names }) ?? noMirror
  const elsewhere = { ...nowhere, ...options.elsewhere }
  const { quotasFor } = opened.use(quotasOf(names))
  const registry = opened.use(
    createRegistry({
      store,
      names,
      allowDelete,
      sparse,
      mirror,
      elsewhere,
      clock,
      quotasFor,
      ...(options.secured === undefined ? {} : { secured: options.secured }),
      ...(options.ahead === undefined ? {} : { ahead: options.ahead }),
    }),
  )
  const access = opened.use(
    await openAccess({ names, ...(options.contact === undefined ? {} : { contact: options.contact }) }),
  )
  const http = await openHttpPort({ host: '127.0.0.1', port: 0 })
  opened.use(http)
  const { tracer, logger = silentLogger } = options
  const hosts = new Hosts({ names: options.hosts ?? [], logger })
  http.serve(
    createHttpHandler({
      registry,
      access,
      hosts,
      logger,
      clock,
      ...(options.bodies === undefined ? {} : { bodies: options.bodies }),
      ...(options.answers === undefined ? {} : { answers: options.answers }),
      ...(tracer === undefined ? {} : { tracer }),
    }),
  )
  const port = Number(http.address.split(':').at(-1))
  const resources = opened.move()

  const call = (method: string, path: string, { headers = {}, body }: CallOptions = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const framed = body === undefined || 'Transfer-Encoding' in headers
      const framing = framed ? {} : { 'Content-Length': Buffer.byteLength(body) }
      const outgoing = request(
        { host: '127.0.0.1', port, method, path, headers: { ...framing, ...headers }, agent: false },
        (incoming) => {
          const chunks: Buffer[] = []
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
          incoming.once('error', reject)
          incoming.once('end', () => {
            const whole = Buffer.concat(chunks)
            resolve({
              status: incoming.statusCode ?? 0,
              reason: incoming.statusMessage ?? '',
              headers: incoming.headers,
              body: whole,
              json: () => JSON.parse(whole.toString()),
            })
          })
        },
      )
      outgoing.once('error', reject)
      outgoing.end(body)
    })

  const pushBlob = async (repository: string, bytes: Uint8Array | string): Promise<Digest> => {
    const digest = digestBytes(Buffer.from(bytes))
    const answer = await call('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, { body: bytes })
    if (answer.status !== 201) throw new Error(`blob push: ${answer.status} ${answer.body}`)
    return digest
  }

  return {
    port,
    directory,
    names,
    call,
    pushBlob,
    async pushImage(repository, reference, { layers = ['layer'], extra = {} } = {}) {
      const config = await pushBlob(repository, '{}')
      const digests = await Promise.all(layers.map((layer) => pushBlob(repository, layer)))
      const sizes = layers.map((layer) => Buffer.byteLength(layer))
      const manifest = {
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
        layers: digests.map((digest, index) => {
          return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: sizes[index] }
        }),
        ...extra,
      }
      const bytes = Buffer.from(JSON.stringify(manifest))
      const path = `/v2/${repository}/manifests/${reference === '' ? digestBytes(bytes) : reference}`
      const answer = await call('PUT', path, {
        headers: { 'Content-Type': mediaTypes.ociManifest },
        body: bytes,
      })
      if (answer.status !== 201) throw new Error(`manifest push: ${answer.status} ${answer.body}`)
      return { digest: digestBytes(bytes), bytes, config, layers: digests }
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** The codes of an error answer's body. */
export function codesOf(answer: Answer): string[] {
  const { errors } = answer.json() as { errors: { code: string; message: string }[] }
  return errors.map(({ code }) => code)
}
