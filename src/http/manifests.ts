/** `/v2/<name>/manifests/<reference>`: pull, push and delete of manifests, by tag or by digest. */
import { originsOf } from '../base/base.ts'
import {
  excerpt,
  maxManifestBytes,
  OciError,
  parseTag,
  type Reference,
  type Repository,
  type Tag,
} from '../oci/oci.ts'
import type { PushedManifest, Registry } from '../registry/registry.ts'
import { holdBody } from './body.ts'
import type { Exchange } from './exchange.ts'
import { shortageHeader, warningHeader } from './warning.ts'

interface Target {
  repository: Repository
  reference: Reference
}

/** How many members are to hold all of what is pushed before the answer comes. */
const ackHeader = 'shoal-ack'
const maxAck = 16

/** More tags than any release has names; it bounds the records that one request writes. */
const maxTagsPerPut = 64

export async function getManifest({ pull }: Registry, exchange: Exchange, target: Target): Promise<void> {
  // No abort signal: most manifests come from memory, and making one costs more than the rest of the request.
  const { repository, reference } = target
  const { trace } = exchange
  const found = await (exchange.isHead
    ? pull.statManifest(repository, reference, { trace })
    : pull.getManifest(repository, reference, { trace }))
  const { digest, mediaType, stale } = found
  const etag = `"${digest}"`
  const headers: Record<string, string> = {
    'Content-Type': mediaType,
    'Docker-Content-Digest': digest,
    ETag: etag,
    // containerd asks for `bytes=0-`; RFC 9110, section 14.3.
    'Accept-Ranges': 'none',
    ...warningHeader(stale),
  }
  if (matches(exchange.header('if-none-match'), etag)) exchange.send(304, headers)
  else if ('bytes' in found) {
    const { answers, response } = exchange
    if (!answers.enter(response, found.bytes))
      throw new OciError(
        'TOOMANYREQUESTS',
        'more large manifests are on their way to slow clients than fit into memory; ask again later',
        { retryAfterMs: answers.limits.placeMs },
      )
    exchange.send(200, headers, found.bytes)
    const size = found.bytes.length
    const origins = originsOf(size, found.giver)
    trace.pulled({
      kind: 'manifest',
      repository,
      reference: nameOf(reference),
      digest,
      mediaType,
      size,
      origins,
      isComplete: true,
    })
  } else exchange.head(200, { ...headers, 'Content-Length': found.size }).end()
}

export async function putManifest(registry: Registry, exchange: Exchange, target: Target): Promise<void> {
  const { repository } = target
  const copies = ackOf(exchange.header(ackHeader))
  const tags = exchange.query.getAll('tag').map(parseTag)
  if (tags.length > maxTagsPerPut) {
    throw new OciError(
      'TAG_INVALID',
      `${tags.length} tags in one request; at most ${maxTagsPerPut} are accepted`,
    )
  }
  const pushed = await takeManifest(registry, exchange, target, tags)
  const { digest, subject } = pushed
  // Not before the body's memory is given back.
  const secured = await registry.push.secured(repository, pushed, { copies, signal: exchange.signal })
  exchange.send(201, {
    Location: `/v2/${repository}/manifests/${digest}`,
    'Docker-Content-Digest': digest,
    ...(subject === undefined ? {} : { 'OCI-Subject': subject }),
    ...(tags.length === 0 ? {} : { 'OCI-Tag': tags.join(', ') }),
    ...shortageHeader(secured),
  })
}

async function takeManifest(
  { push }: Registry,
  exchange: Exchange,
  { repository, reference }: Target,
  tags: Tag[],
): Promise<PushedManifest> {
  using held = await holdBody(exchange.request, maxManifestBytes, exchange.bodies)
  if (held === undefined)
    throw new OciError(
      'MANIFEST_TOO_LARGE',
      `the body is larger than the ${maxManifestBytes} bytes accepted here`,
    )
  const { bytes } = held
  const contentType = exchange.header('content-type')
  const pushed = await push.putManifest(repository, reference, {
    bytes,
    contentType,
    tags,
    by: exchange.visitor?.name,
  })
  const { digest, mediaType } = pushed
  const size = bytes.length
  exchange.trace.pushed({
    kind: 'manifest',
    repository,
    digest,
    mediaType,
    size,
    tags: pushed.tags,
    isMount: false,
  })
  return pushed
}

/** How many copies the client waits for; `undefined` for what the node was told. */
function ackOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const copies = /^\d{1,2}$/.test(header) ? Number(header) : 0
  if (copies >= 1 && copies <= maxAck) return copies
  throw new OciError(
    'MANIFEST_INVALID',
    `the header ${ackHeader} is a number of copies from 1 to ${maxAck}; "${excerpt(header)}" is not`,
  )
}

export async function deleteManifest(
  { deletion }: Registry,
  exchange: Exchange,
  target: Target,
): Promise<void> {
  const { repository, reference } = target
  await deletion.deleteManifest(repository, reference, { by: exchange.visitor?.name })
  const kind = 'tag' in reference ? 'tag' : 'manifest'
  exchange.trace.deleted({ kind, repository, reference: nameOf(reference) })
  exchange.send(202, {})
}

function nameOf(reference: Reference): string {
  return 'tag' in reference ? reference.tag : reference.digest
}

/** RFC 9110, section 13.1.2: a list of tags, weak ones compared by their value, or `*`. */
export function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  return header.split(',').some((item) => item.trim() === '*' || item.trim().replace(/^W\//, '') === etag)
}
