/** A small registry client: says exactly what goes over the wire, and reports what comes back. */
import http from 'node:http'
import { type Content, contentsOf, type Image, type Index } from './image.ts'

const IDLE_MS = 20_000
/** So long a quiet connection is kept: well below the node's 75 s, or it may end under a request. */
const keptMs = 20_000

export interface Answer {
  status: number
  headers: http.IncomingHttpHeaders
  body: Buffer
}

interface Ask {
  headers?: Record<string, string>
  /** An iterable is sent chunked unless `headers` has a content-length. */
  body?: Uint8Array | AsyncIterable<Uint8Array>
}

export interface Client extends Disposable {
  ask(method: string, path: string, ask?: Ask): Promise<Answer>
}

/** Asks for a manifest in each of the types that the tests push. */
export const ACCEPT_MANIFESTS = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

export class UnexpectedAnswerError extends Error {
  readonly answer: Answer

  constructor(what: string, answer: Answer) {
    super(`${what} was answered with ${answer.status}: ${answer.body.toString('utf8', 0, 500)}`)
    this.answer = answer
  }
}

/** For a registry on a port of 127.0.0.1, or behind the Unix socket of that path; gives up on what stands still for `idleMs`. */
export function openClient(at: number | string, { idleMs = IDLE_MS } = {}): Client {
  const agent = new http.Agent({ keepAlive: true, timeout: keptMs })
  const way = typeof at === 'number' ? { host: '127.0.0.1', port: at } : { socketPath: at }
  const target = { ...way, timeout: idleMs }
  return {
    ask: (method, path, ask = {}) => exchange(agent, target, method, path, ask),
    [Symbol.dispose]: () => agent.destroy(),
  }
}

/** Pushes a blob with POST and PUT; throws unless it was acknowledged. */
export async function pushBlob(
  client: Client,
  repository: string,
  { descriptor, bytes }: Content,
): Promise<void> {
  const location = await startUpload(client, repository)
  const put = await client.ask('PUT', withDigest(location, descriptor.digest), { body: bytes })
  if (put.status !== 201) throw new UnexpectedAnswerError('PUT of a blob', put)
}

/** Pushes a manifest under a tag or its digest; throws unless it was acknowledged. */
export async function pushManifest(
  client: Client,
  repository: string,
  reference: string,
  { descriptor, bytes }: Content,
): Promise<void> {
  const headers = { 'content-type': descriptor.mediaType }
  const put = await client.ask('PUT', `/v2/${repository}/manifests/${reference}`, { headers, body: bytes })
  if (put.status !== 201) throw new UnexpectedAnswerError('PUT of a manifest', put)
}

/** Pushes all that an image or index consists of, and tags it. */
export async function pushItem(
  client: Client,
  repository: string,
  tag: string,
  item: Image | Index,
): Promise<void> {
  for (const part of contentsOf(item)) {
    const isManifest = 'images' in item && item.images.some(({ manifest }) => manifest === part)
    if (part === item.manifest) await pushManifest(client, repository, tag, part)
    else if (isManifest) await pushManifest(client, repository, part.descriptor.digest, part)
    else await pushBlob(client, repository, part)
  }
}

/** Fetches a manifest; throws unless it is there. */
export async function pullManifest(client: Client, repository: string, reference: string): Promise<Answer> {
  const headers = { accept: ACCEPT_MANIFESTS }
  const got = await client.ask('GET', `/v2/${repository}/manifests/${reference}`, { headers })
  if (got.status !== 200)
    throw new UnexpectedAnswerError(`GET of the manifest ${repository}:${reference}`, got)
  return got
}

/** Starts an upload session and returns its path. */
export async function startUpload(client: Client, repository: string): Promise<string> {
  const post = await client.ask('POST', `/v2/${repository}/blobs/uploads/`)
  if (post.status !== 202) throw new UnexpectedAnswerError('POST of an upload', post)
  return locationOf(post)
}

/** The path and query of an answer's Location, absolute or not. */
export function locationOf({ headers }: Answer): string {
  if (headers.location === undefined) throw new Error('the answer has no Location')
  const url = new URL(headers.location, 'http://registry.invalid')
  return url.pathname + url.search
}

export function withDigest(location: string, digest: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`
}

/** Throws whatever makes the body or the connection fail; an answer that comes before the body's end is an answer. */
function exchange(
  agent: http.Agent,
  target: http.RequestOptions,
  method: string,
  path: string,
  ask: Ask,
): Promise<Answer> {
  const { headers = {}, body } = ask
  return new Promise((resolve, reject) => {
    const length =
      body === undefined || body instanceof Uint8Array ? { 'content-length': body?.length ?? 0 } : {}
    const request = http.request({
      agent,
      ...target,
      method,
      path,
      headers: method === 'GET' || method === 'HEAD' ? headers : { ...length, ...headers },
    })
    request.once('timeout', () =>
      request.destroy(new Error(`${method} ${path} stood still for ${target.timeout} ms`)),
    )
    request.once('error', reject)
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.once('error', reject)
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      )
    })
    if (body === undefined || body instanceof Uint8Array) request.end(body)
    else
      send(request, body).catch((error: unknown) =>
        request.destroy(error instanceof Error ? error : undefined),
      )
  })
}

async function send(request: http.ClientRequest, body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of body) {
    if (request.destroyed) return
    if (!request.write(chunk)) await settled(request)
  }
  request.end()
}

function settled(request: http.ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      request.off('drain', done).off('close', done)
      resolve()
    }
    request.once('drain', done).once('close', done)
  })
}
