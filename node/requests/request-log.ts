/**
 * One line for each pull, push and deletion: where every byte came from, and how long each stage took.
 *
 * A node serves thousands of manifests a second from memory; those are counted, not logged, unless the level is `debug`. Blobs
 * that were here are logged up to a rate; the rest of a second is one line.
 */
import type { Deleted, Logger, Pulled, Pushed } from '../../src/base/base.ts'
import { peerBytes, sourceOf } from './pull-source.ts'
import type { FinishedRequest, RequestListener } from './request-tracer.ts'

export interface RequestLog extends Disposable {
  readonly listener: RequestListener
}

/** Lines a second for blobs that were here. */
const localLinesPerSecond = 20
/** A line names so many peers; the others are added up. */
const maxPeers = 8

export function openRequestLog(logger: Logger, { isVerbose }: { isVerbose: boolean }): RequestLog {
  let lines = 0
  let unlisted = { pulls: 0, bytes: 0 }
  let second: NodeJS.Timeout | undefined

  const endSecond = (): void => {
    clearTimeout(second)
    second = undefined
    lines = 0
    if (unlisted.pulls > 0) logger.info(unlisted, 'pulled more blobs that were here')
    unlisted = { pulls: 0, bytes: 0 }
  }

  /** Whether one more line may be written in this second. */
  const mayList = ({ origins }: Pulled): boolean => {
    second ??= setTimeout(endSecond, 1000).unref()
    if (lines++ < localLinesPerSecond) return true
    unlisted.pulls++
    unlisted.bytes += origins.local
    return false
  }

  const logPull = (pull: Pulled, finished: FinishedRequest): void => {
    const isLocal = sourceOf(pull.origins) === 'local'
    if (!pull.isComplete) logBroken(pull, finished)
    else if (!isLocal) logger.info(pullFacts(pull, finished), `pulled ${pull.kind}`)
    else if (pull.kind === 'blob' && mayList(pull)) logger.info(pullFacts(pull, finished), 'pulled blob')
    else if (isVerbose) logger.debug(pullFacts(pull, finished), `pulled ${pull.kind}`)
  }

  return {
    listener(finished) {
      const { pull, push, deletion } = finished
      if (pull !== undefined) logPull(pull, finished)
      else if (push !== undefined) logPush(push, finished)
      else if (deletion !== undefined) logDeletion(deletion, finished)
    },
    [Symbol.dispose]: endSecond,
  }

  function logBroken(pull: Pulled, finished: FinishedRequest): void {
    const { error } = finished
    const isClient = error instanceof Error && error.name === 'ClientGoneError'
    if (isClient) logger.info(pullFacts(pull, finished), 'a client left in the middle of a pull')
    else logger.warn({ ...pullFacts(pull, finished), err: error }, 'a pull broke off')
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

function clientFacts({ request, startMs, endMs }: FinishedRequest) {
  return { ms: rounded(endMs - startMs), client: request.socket.remoteAddress ?? 'gone' }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
