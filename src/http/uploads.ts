/** `/v2/<name>/blobs/uploads/`: sessions that take a blob in one request, in chunks, or by mounting it. */
import {
  algorithmOf,
  type Digest,
  digestBytes,
  OciError,
  parseAlgorithm,
  parseContentRange,
  parseDigest,
  parseRepository,
  type Repository,
} from '../oci/oci.ts'
import type { Registry } from '../registry/registry.ts'
import { hasBody } from './body.ts'
import { clientOf } from './client.ts'
import type { Exchange } from './exchange.ts'
import { RequestBody } from './request-body.ts'

interface Session {
  repository: Repository
  id: string
}

export async function startUpload(
  registry: Registry,
  exchange: Exchange,
  target: { repository: Repository },
): Promise<void> {
  const { push } = registry
  const { repository } = target
  const { query, request, visitor } = exchange
  const mount = query.get('mount')
  const from = query.get('from')
  const algorithm = query.get('digest-algorithm')
  const digestText = query.get('digest')
  const digest = digestText === null ? undefined : parseDigest(digestText)
  const started = await push.startUpload(repository, {
    ...(mount === null ? {} : { mount: mountOf(mount, from) }),
    ...(algorithm === null ? {} : { algorithm: parseAlgorithm(algorithm) }),
    ...(visitor === undefined ? {} : { mayMountFrom: (source: Repository) => visitor.may(source, 'pull') }),
    client: clientOf(request),
  })
  if ('mounted' in started) {
    sendCreated(exchange, repository, { ...started.mounted, isMount: true })
    return
  }
  const { id } = started.upload
  // Without a body a digest is only the wish to upload it later, unless it is the empty blob's.
  if (digest !== undefined && (hasBody(request) || isEmpty(digest))) {
    await completeUpload(registry, exchange, { repository, id }, digest)
    return
  }
  sendProgress(exchange, 202, { repository, id }, 0)
}

export async function getUpload({ push }: Registry, exchange: Exchange, session: Session): Promise<void> {
  const { offset } = await push.getUpload(session.repository, session.id)
  sendProgress(exchange, 204, session, offset)
}

export async function patchUpload({ push }: Registry, exchange: Exchange, session: Session): Promise<void> {
  const { repository, id } = session
  const { offset } = await receive(push, exchange, session, (body, options) =>
    push.appendUpload(repository, id, body, options),
  )
  sendProgress(exchange, 202, session, offset)
}

export async function putUpload(registry: Registry, exchange: Exchange, session: Session): Promise<void> {
  const digest = exchange.query.get('digest')
  if (digest === null)
    throw new OciError('DIGEST_INVALID', 'the digest of the whole blob is missing; add ?digest=sha256:…')
  await completeUpload(registry, exchange, session, parseDigest(digest))
}

export async function deleteUpload({ push }: Registry, exchange: Exchange, session: Session): Promise<void> {
  await push.cancelUpload(session.repository, session.id)
  exchange.send(204, {})
}

async function completeUpload(
  { push }: Registry,
  exchange: Exchange,
  session: Session,
  digest: Digest,
): Promise<void> {
  const { repository, id } = session
  const finished = hasBody(exchange.request)
    ? await receive(push, exchange, session, (body, options) =>
        push.putUpload(repository, id, body, digest, options),
      )
    : await unhurried(exchange, () => push.finishUpload(repository, id, digest))
  sendCreated(exchange, session.repository, { ...finished, digest, isMount: false })
}

/** The body's own pace says how long its client may pause; the last hash and sync of a large blob move no byte at all. */
async function unhurried<T>({ request: { socket } }: Exchange, work: () => Promise<T>): Promise<T> {
  const idleMs = socket.timeout ?? 0
  socket.setTimeout(0)
  try {
    return await work()
  } finally {
    socket.setTimeout(idleMs)
  }
}

async function receive<T>(
  push: Registry['push'],
  exchange: Exchange,
  { repository, id }: Session,
  take: (body: RequestBody, options: { offset?: number; transfer: true }) => Promise<T>,
): Promise<T> {
  const { request, response } = exchange
  const header = exchange.header('content-range')
  const range = header === undefined ? undefined : parseContentRange(header)
  const length = exchange.header('content-length')
  if (range !== undefined && length !== undefined && Number(length) !== range.end - range.start) {
    throw new OciError(
      'SIZE_INVALID',
      `Content-Range ${header} covers ${range.end - range.start} bytes, Content-Length is ${length}`,
    )
  }
  return await unhurried(exchange, async () => {
    using body = new RequestBody(request, exchange.bodies, 'streamed')
    try {
      return await take(body, { transfer: true, ...(range === undefined ? {} : { offset: range.start }) })
    } catch (error) {
      // The spec's answer to a chunk out of order says where to go on (distribution-spec, "Pushing a blob in chunks").
      if (error instanceof OciError && error.code === 'RANGE_INVALID') {
        const { offset } = await push.getUpload(repository, id)
        response.setHeader('Range', progress(offset)).setHeader('Location', locationOf(repository, id))
      }
      throw error
    }
  })
}

function mountOf(digest: string, from: string | null): { digest: Digest; from?: Repository } {
  return { digest: parseDigest(digest), ...(from === null ? {} : { from: parseRepository(from) }) }
}

function isEmpty(digest: Digest): boolean {
  return digest === digestBytes(new Uint8Array(), algorithmOf(digest))
}

function locationOf(repository: Repository, id: string): string {
  return `/v2/${repository}/blobs/uploads/${id}`
}

/** Inclusive, without a unit, and `0-0` for nothing: docker computes layer sizes from it. */
function progress(offset: number): string {
  return `0-${Math.max(0, offset - 1)}`
}

function sendProgress(exchange: Exchange, status: number, { repository, id }: Session, offset: number): void {
  exchange.send(status, {
    Location: locationOf(repository, id),
    Range: progress(offset),
    'Docker-Upload-UUID': id,
  })
}

function sendCreated(
  exchange: Exchange,
  repository: Repository,
  blob: { digest: Digest; size: number; isMount: boolean },
): void {
  const { digest } = blob
  exchange.trace.pushed({
    kind: 'blob',
    repository,
    mediaType: 'application/octet-stream',
    tags: [],
    ...blob,
  })
  exchange.send(201, { Location: `/v2/${repository}/blobs/${digest}`, 'Docker-Content-Digest': digest })
}
