/** `/v2/<name>/blobs/<digest>`: pull of whole blobs and of ranges, and delete. */
import type { ServerResponse } from 'node:http'
import { originsOf, type Trace } from '../base/base.ts'
import {
  type ByteRange,
  type Digest,
  OciError,
  parseRanges,
  type RangesOf,
  type Repository,
  satisfiableRanges,
} from '../oci/oci.ts'
import type { BlobContent, Registry } from '../registry/registry.ts'
import { type BodyPlan, planBody } from './byte-ranges.ts'
import { ClientGoneError, type Exchange } from './exchange.ts'
import { matches } from './manifests.ts'

interface Target {
  repository: Repository
  digest: Digest
}

/** How far an answer got. */
interface Sent {
  bytes: number
  isComplete: boolean
}

/** Of what is on its way the first byte may be minutes off, and containerd and ollama wait 30 s for a head. */
const headWithinMs = 25_000
const blobType = 'application/octet-stream'
/** From a byte on to the end. */
const openRange = /^\s*bytes=\d+-\s*$/

export async function getBlob(
  { pull }: Registry,
  exchange: Exchange,
  { repository, digest }: Target,
): Promise<void> {
  const { trace } = exchange
  const askedMs = exchange.clock.now()
  const headers = headersOf(digest)
  const isKnown = matches(exchange.header('if-none-match'), headers.ETag)
  if (exchange.isHead) {
    const { size } = await pull.statBlob(repository, digest, { signal: exchange.signal })
    if (isKnown) exchange.send(304, headers)
    else exchange.head(200, { ...headers, ...locationOf(repository, digest), 'Content-Length': size }).end()
    return
  }
  const ranges = rangesAlone(exchange, headers.ETag)
  await using blob = await pull.openBlob(repository, digest, new Asked(exchange, ranges))
  if (isKnown) {
    exchange.send(304, headers)
    return
  }
  const plan = planBody(wantedRanges(exchange, blob.size, headers.ETag), blob.size, blobType)
  const sent = { bytes: 0, isComplete: false }
  const facts = { ...headers, ...locationOf(repository, digest), ...plan.headers }
  if (blob.bytes !== undefined && plan.status === 200) {
    trace.stage('first-byte', trace.startMs)
    exchange.send(200, facts, blob.bytes)
    tell(exchange, repository, blob, { bytes: blob.size, isComplete: !exchange.request.socket.destroyed })
    return
  }
  using head =
    blob.provenance === undefined
      ? headAtOnce(exchange, plan.status, facts)
      : headInTime(exchange, plan.status, facts, askedMs)
  try {
    await sendBlob(exchange, { blob, plan, head, sent })
  } catch (error) {
    if (!(error instanceof ClientGoneError) || !hasEnough(exchange, plan, sent)) throw error
    sent.isComplete = true
  } finally {
    // What is refused instead was no pull.
    if (exchange.response.headersSent || exchange.signal.aborted) tell(exchange, repository, blob, sent)
  }
}

/** A class, since V8 keeps what belongs to a request for long whose options are a literal with a getter. */
class Asked {
  readonly trace: Trace
  readonly ranges: RangesOf | undefined
  readonly #exchange: Exchange

  constructor(exchange: Exchange, ranges: RangesOf | undefined) {
    this.trace = exchange.trace
    this.ranges = ranges
    this.#exchange = exchange
  }

  /** Made only where somebody waits by it: what is in memory needs none. */
  get signal(): AbortSignal {
    return this.#exchange.signal
  }
}

/** The head of an answer: out by the time that `begin` returns. */
interface Head extends Disposable {
  begin(): ServerResponse
}

function headAtOnce(exchange: Exchange, status: number, facts: Record<string, string | number>): Head {
  const response = exchange.head(status, facts)
  return { begin: () => response, [Symbol.dispose]: () => undefined }
}

/** With the first byte, so that what cannot be had is refused; but in time for who waits for a head. */
function headInTime(
  exchange: Exchange,
  status: number,
  facts: Record<string, string | number>,
  askedMs: number,
): Head {
  const { clock, response } = exchange
  const over = new AbortController()
  const begin = (): ServerResponse => {
    over.abort()
    return response.headersSent ? response : exchange.head(status, facts)
  }
  clock.sleep(Math.max(0, askedMs + headWithinMs - clock.now()), { signal: over.signal }).then(
    () => begin().flushHeaders(),
    () => undefined,
  )
  return { begin, [Symbol.dispose]: () => over.abort() }
}

function tell(
  { trace }: Exchange,
  repository: Repository,
  { digest, size, provenance }: BlobContent,
  { bytes, isComplete }: Sent,
): void {
  const { origins, stages } = provenance?.() ?? { origins: originsOf(bytes, undefined), stages: [] }
  for (const { stage, startMs, endMs } of stages) trace.stage(stage, startMs, endMs)
  trace.pulled({
    kind: 'blob',
    repository,
    reference: digest,
    digest,
    mediaType: blobType,
    size,
    origins,
    isComplete,
  })
}

export async function deleteBlob({ deletion }: Registry, exchange: Exchange, target: Target): Promise<void> {
  const { repository, digest } = target
  await deletion.deleteBlob(repository, digest)
  exchange.trace.deleted({ kind: 'blob', repository, reference: digest })
  exchange.send(202, {})
}

function headersOf(digest: Digest) {
  return {
    'Content-Type': blobType,
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'Accept-Ranges': 'bytes',
  }
}

/** Ollama wants it on what is no redirect, too. The name is the one that needs no `ns`. */
function locationOf(repository: Repository, digest: Digest) {
  return { Location: `/v2/${repository}/blobs/${digest}` }
}

/** Whether a client that leaves had what it wanted: containerd opens `bytes=N-`, reads its chunk and closes. */
function hasEnough(exchange: Exchange, { status }: BodyPlan, { bytes, isComplete }: Sent): boolean {
  const isOpen = openRange.test(exchange.header('range') ?? '')
  return isComplete || (status === 206 && isOpen && bytes > 0)
}

/** A range of a representation that the client no longer means is ignored (RFC 9110, section 13.1.5). */
function rangeHeader(exchange: Exchange, etag: string): string | undefined {
  const condition = exchange.header('if-range')
  return condition === undefined || condition === etag ? exchange.header('range') : undefined
}

/**
 * What the client wants and no more. Who asks for all from somewhere on has the rest already, as one that goes on after a break, or
 * asks for it beside, as containerd does.
 */
function rangesAlone(exchange: Exchange, etag: string): RangesOf | undefined {
  const header = rangeHeader(exchange, etag)
  if (header === undefined || openRange.test(header)) return undefined
  return (size) => satisfiableRanges(header, size)
}

function wantedRanges(exchange: Exchange, size: number, etag: string): ByteRange[] | undefined {
  try {
    return parseRanges(rangeHeader(exchange, etag), size)
  } catch (error) {
    if (error instanceof OciError) exchange.response.setHeader('Content-Range', `bytes */${size}`)
    throw error
  }
}

interface Sending {
  blob: BlobContent
  plan: BodyPlan
  head: Head
  sent: Sent
}

async function sendBlob(exchange: Exchange, { blob, plan, head, sent }: Sending): Promise<void> {
  const { signal, trace } = exchange
  for (const { before, start, end } of plan.parts) {
    let isBegun = before === ''
    for await (const chunk of blob.chunks(start, end, { signal })) {
      const response = head.begin()
      if (sent.bytes === 0) trace.stage('first-byte', trace.startMs)
      if (!isBegun) await write(response, before)
      isBegun = true
      await write(response, chunk)
      sent.bytes += chunk.length
      // From here on the client may close: what is left of the reading is not for it.
      sent.isComplete = sent.bytes === plan.blobBytes
    }
  }
  head.begin().end(plan.after)
  sent.isComplete = true
}

/** Resolves when the kernel has the bytes: before that their memory is not free to be read into again. */
function write(response: ServerResponse, chunk: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    // Until the response has heard that its socket is gone, Node drops what is written, and the callback with it.
    if (response.socket?.destroyed === true) {
      reject(new ClientGoneError())
      return
    }
    response.write(chunk, (error) => {
      if (error === null || error === undefined) resolve()
      else reject(new ClientGoneError())
    })
  })
}
