/**
 * One line for each pull, push and deletion: where every byte came from, and how long each stage took.
 *
 * A node serves thousands of manifests a second from memory; those are counted, not logged, unless the level is `debug`. Blobs
 * that were here, clients that left and pulls that failed are logged up to a rate; the rest of a second is one line.
 */
import type { Deleted, Logger, Pulled, Pushed } from '../../src/base/base.ts'
import { parseRoute } from '../../src/http/http.ts'
import { OciError } from '../../src/oci/oci.ts'
import { isClientGone, isRefusedForNow } from './failure-kinds.ts'
import { peerBytes, sourceOf } from './pull-source.ts'
import type { FinishedRequest, RequestListener } from './request-tracer.ts'

export interface RequestLog extends Disposable {
  readonly listener: RequestListener
}

/** Of each kind of line that clients can cause at will; the rest of a second is one line with their number. */
const linesPerSecond = 20
/** A line names so many peers; the others are added up. */
const maxPeers = 8

export function openRequestLog(logger: Logger, { isVerbose }: { isVerbose: boolean }): RequestLog {
  const quotas = { local: new Quota(), left: new Quota(), failed: new Quota() }
  let second: NodeJS.Timeout | undefined

  const endSecond = (): void => {
    clearTimeout(second)
    second = undefined
    const local = quotas.local.end()
    if (local.left > 0)
      logger.info({ pulls: local.left, bytes: local.bytes }, 'pulled more blobs that were here')
    const gone = quotas.left.end()
    if (gone.left > 0) logger.info({ requests: gone.left }, 'more clients left')
    const failed = quotas.failed.end()
    if (failed.left > 0) logger.warn({ requests: failed.left }, 'more pulls failed')
  }

  /** Whether one more line of the kind may be written in this second. */
  const mayList = (kind: keyof typeof quotas, bytes = 0): boolean => {
    second ??= setTimeout(endSecond, 1000).unref()
    return quotas[kind].take(bytes)
  }

  const logPull = (pull: Pulled, finished: FinishedRequest): void => {
    const isLocal = sourceOf(pull.origins) === 'local'
    if (!pull.isComplete) logBroken(pull, finished)
    else if (!isLocal) logger.info(pullFacts(pull, finished), `pulled ${pull.kind}`)
    else if (pull.kind === 'blob' && mayList('local', pull.origins.local))
      logger.info(pullFacts(pull, finished), 'pulled blob')
    else if (isVerbose) logger.debug(pullFacts(pull, finished), `pulled ${pull.kind}`)
  }

  return {
    listener(finished) {
      const { pull, push, deletion, error } = finished
      if (pull !== undefined) logPull(pull, finished)
      else if (push !== undefined) logPush(push, finished)
      else if (deletion !== undefined) logDeletion(deletion, finished)
      else if (error !== undefined) logFailure(finished)
    },
    [Symbol.dispose]: endSecond,
  }

  function logBroken(pull: Pulled, finished: FinishedRequest): void {
    const { error } = finished
    if (isClientGone(error)) {
      if (mayList('left')) logger.info(pullFacts(pull, finished), 'a client left in the middle of a pull')
    } else if (mayList('failed'))
      logger.warn({ ...pullFacts(pull, finished), err: error }, 'a pull broke off')
  }

  function logFailure(finished: FinishedRequest): void {
    const { request, route, error } = finished
    const { method } = request
    const url = (request.url ?? '').slice(0, 300)
    if (isClientGone(error)) {
      if (mayList('left'))
        logger.info({ method, url, ...clientFacts(finished) }, 'a client left before it was answered')
      return
    }
    if ((route !== 'blob' && route !== 'manifest') || !(error instanceof OciError)) return
    if (!isRefusedForNow(method ?? '', error) || !mayList('failed')) return
    logger.warn(
      {
        ...askedFacts(request.url ?? ''),
        method,
        code: error.code,
        reason: error.message,
        ...clientFacts(finished),
      },
      'a pull failed',
    )
  }

  function logPush({ kind, isMount, ...facts }: Pushed, finished: FinishedRequest): void {
    const line = { ...facts, ...clientFacts(finished) }
    if (kind === 'manifest') logger.info(line, 'pushed manifest')
    else logger.debug(line, isMount ? 'mounted blob' : 'pushed blob')
  }

  function logDeletion({ kind, ...facts }: Deleted, finished: FinishedRequest): void {
    logger.info({ ...facts, ...clientFacts(finished) }, `deleted ${kind}`)
  }
}

class Quota {
  #lines = 0
  #left = 0
  #bytes = 0

  take(bytes: number): boolean {
    if (this.#lines++ < linesPerSecond) return true
    this.#left++
    this.#bytes += bytes
    return false
  }

  /** What found no room, and begins anew. */
  end(): { left: number; bytes: number } {
    const rest = { left: this.#left, bytes: this.#bytes }
    this.#lines = this.#left = this.#bytes = 0
    return rest
  }
}

function askedFacts(url: string): Record<string, string> {
  const route = parseRoute(url.replace(/\?.*/, ''))
  if (route?.name === 'blob') return { repository: route.repository, digest: route.digest }
  if (route?.name !== 'manifest') return { url }
  const { repository, reference } = route
  return 'tag' in reference
    ? { repository, reference: reference.tag }
    : { repository, digest: reference.digest }
}

function pullFacts({ repository, reference, digest, size, origins }: Pulled, finished: FinishedRequest) {
  const { local, upstream } = origins
  const fromPeers = peerBytes(origins)
  return {
    repository,
    reference,
    ...(reference === digest ? {} : { digest }),
    size,
    bytes: local + fromPeers + upstream,
    local,
    upstream,
    ...(fromPeers === 0 ? {} : { peers: largest(origins.peers) }),
    ...stageFacts(finished),
    ...clientFacts(finished),
  }
}

/** The peers that gave most, and the bytes of the rest. */
function largest(peers: ReadonlyMap<string, number>): Record<string, number> {
  const sorted = [...peers].sort(([, a], [, b]) => b - a)
  const rest = sorted.slice(maxPeers).reduce((sum, [, bytes]) => sum + bytes, 0)
  return { ...Object.fromEntries(sorted.slice(0, maxPeers)), ...(rest === 0 ? {} : { others: rest }) }
}

/** `first-byte` becomes `firstByteMs`; what happened twice is added up. */
function stageFacts({ stages }: FinishedRequest): Record<string, number> {
  const facts: Record<string, number> = {}
  for (const { stage, startMs, endMs } of stages) {
    const name = `${stage === 'first-byte' ? 'firstByte' : stage}Ms`
    facts[name] = rounded((facts[name] ?? 0) + endMs - startMs)
  }
  return facts
}

function clientFacts({ client, account, startMs, endMs }: FinishedRequest) {
  const who = account === undefined ? {} : { account }
  return { ms: rounded(endMs - startMs), client: client ?? 'gone', ...who }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
