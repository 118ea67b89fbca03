/** Notifications as the distribution registry sends them, so that what listens to one listens to the other. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Deleted, Pulled, Pushed } from '../../src/base/base.ts'
import type { FinishedRequest } from '../requests/request-tracer.ts'

/** https://distribution.github.io/distribution/about/notifications/#events */
export const envelopeType = 'application/vnd.docker.distribution.events.v2+json'

export type Action = 'pull' | 'push' | 'delete'

export const actions: readonly Action[] = ['pull', 'push', 'delete']

/** An event with what a webhook chooses it by. */
export interface Notification {
  action: Action
  /** The event as JSON. */
  text: string
}

/** Where events come from. */
export interface EventSource {
  /** HOST:PORT of the registry. */
  addr: string
  /** The peer id. */
  instanceID: string
}

/** What a client says of itself is cut to this. */
const maxTextLength = 256
const hostPattern = /^[A-Za-z0-9.:[\]_-]{1,255}$/

/** `undefined` where nobody has to be told: what was not pulled whole, and what is neither pull, push nor deletion. */
export function notificationOf(finished: FinishedRequest, source: EventSource): Notification | undefined {
  const { pull, push, deletion } = finished
  if (pull?.isComplete) return notify('pull', 'pull', contentTarget(pull, finished, source), finished, source)
  if (push !== undefined) {
    const action = push.isMount ? 'mount' : 'push'
    return notify('push', action, contentTarget(push, finished, source), finished, source)
  }
  if (deletion === undefined) return undefined
  return notify('delete', 'delete', deletedTarget(deletion), finished, source)
}

function notify(
  action: Action,
  name: string,
  target: object,
  { request, account, endMs }: FinishedRequest,
  source: EventSource,
): Notification {
  const event = {
    id: randomUUID(),
    timestamp: new Date(endMs).toISOString(),
    action: name,
    target,
    request: requestFacts(request),
    actor: account === undefined ? {} : { name: account },
    source,
  }
  return { action, text: JSON.stringify(event) }
}

function contentTarget(content: Pulled | Pushed, { request }: FinishedRequest, source: EventSource): object {
  const { kind, repository, digest, mediaType, size } = content
  const tag = tagOf(content)
  const host = headerOf(request, 'host')
  const authority = hostPattern.test(host) ? host : source.addr
  const scheme = 'encrypted' in request.socket ? 'https' : 'http'
  return {
    mediaType,
    size,
    digest,
    length: size,
    repository,
    url: `${scheme}://${authority}/v2/${repository}/${kind}s/${digest}`,
    ...(tag === undefined ? {} : { tag }),
  }
}

function tagOf(content: Pulled | Pushed): string | undefined {
  if ('tags' in content) return content.tags[0]
  return content.reference === content.digest ? undefined : content.reference
}

function deletedTarget({ kind, repository, reference }: Deleted): object {
  return { repository, ...(kind === 'tag' ? { tag: reference } : { digest: reference }) }
}

function requestFacts(request: IncomingMessage): object {
  const { remoteAddress = '', remotePort } = request.socket
  const address = remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress
  return {
    id: randomUUID(),
    addr: remotePort === undefined ? address : `${address}:${remotePort}`,
    host: headerOf(request, 'host'),
    method: request.method,
    useragent: headerOf(request, 'user-agent'),
  }
}

function headerOf({ headers }: IncomingMessage, name: 'host' | 'user-agent'): string {
  return (headers[name] ?? '').slice(0, maxTextLength)
}
