/** A request as spans: itself, and a child for each stage; as OpenTelemetry's JSON has them (OTLP 1.x). */
import { peerBytes } from '../requests/pull-source.ts'
import type { FinishedRequest } from '../requests/request-tracer.ts'
import { newId, type TraceContext } from './trace-context.ts'

type Attributes = Record<string, string | number | boolean | undefined>

const kinds = { internal: 1, server: 2 }
const failed = 2
/** What a client decides is cut to this. */
const maxTextLength = 256

const templates: Record<string, string> = {
  base: '/v2/',
  catalog: '/v2/_catalog',
  tags: '/v2/{name}/tags/list',
  manifest: '/v2/{name}/manifests/{reference}',
  blob: '/v2/{name}/blobs/{digest}',
  uploads: '/v2/{name}/blobs/uploads/',
  upload: '/v2/{name}/blobs/uploads/{id}',
  referrers: '/v2/{name}/referrers/{digest}',
  'v1-ping': '/v1/_ping',
  'v1-search': '/v1/search',
}

/** Each as JSON. */
export function spansOf(finished: FinishedRequest, { traceId, parentId }: TraceContext): string[] {
  const { request, route, startMs, endMs, stages } = finished
  const spanId = newId(8)
  const template = templates[route]
  const root = {
    traceId,
    spanId,
    ...(parentId === undefined ? {} : { parentSpanId: parentId }),
    name: [request.method ?? 'GET', ...(template === undefined ? [] : [template])].join(' '),
    kind: kinds.server,
    ...timesOf(startMs, endMs),
    attributes: attributesOf({ ...requestFacts(finished, template), ...contentFacts(finished) }),
    status: hasFailed(finished) ? { code: failed } : {},
  }
  const children = stages.map((stage) => ({
    traceId,
    spanId: newId(8),
    parentSpanId: spanId,
    name: stage.stage,
    kind: kinds.internal,
    ...timesOf(stage.startMs, stage.endMs),
    attributes: [],
    status: {},
  }))
  return [root, ...children].map((span) => JSON.stringify(span))
}

/** The body of a request to a collector. */
export function envelopeOf(spans: readonly string[], resource: Attributes, version: string): string {
  const about = JSON.stringify({ attributes: attributesOf(resource) })
  const scope = JSON.stringify({ name: 'shoal', version })
  return `{"resourceSpans":[{"resource":${about},"scopeSpans":[{"scope":${scope},"spans":[${spans.join(',')}]}]}]}`
}

function requestFacts(
  { request, client, status, error }: FinishedRequest,
  template: string | undefined,
): Attributes {
  const [path] = (request.url ?? '').split('?', 1)
  return {
    'http.request.method': request.method,
    'http.route': template,
    'url.path': path?.slice(0, maxTextLength),
    'http.response.status_code': status,
    'client.address': client,
    'user_agent.original': request.headers['user-agent']?.slice(0, maxTextLength),
    'error.type': error instanceof Error ? error.name : undefined,
  }
}

function contentFacts({ pull, push }: FinishedRequest): Attributes {
  const content = pull ?? push
  if (content === undefined) return {}
  const { repository, digest, size } = content
  const common = { 'shoal.repository': repository, 'shoal.digest': digest, 'shoal.size': size }
  if (pull === undefined) return common
  const { origins, isComplete } = pull
  return {
    ...common,
    'shoal.bytes.local': origins.local,
    'shoal.bytes.peer': peerBytes(origins),
    'shoal.bytes.upstream': origins.upstream,
    'shoal.peers': origins.peers.size,
    'shoal.complete': isComplete,
  }
}

function hasFailed({ status, pull }: FinishedRequest): boolean {
  return status >= 500 || pull?.isComplete === false
}

function timesOf(startMs: number, endMs: number) {
  return { startTimeUnixNano: nanosOf(startMs), endTimeUnixNano: nanosOf(endMs) }
}

/** A number of them is more than a double can hold. */
function nanosOf(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n)
}

function attributesOf(facts: Attributes) {
  return Object.entries(facts).flatMap(([key, fact]) =>
    fact === undefined ? [] : [{ key, value: anyValueOf(fact) }],
  )
}

/** 64-bit numbers are texts in protobuf's JSON. */
function anyValueOf(fact: string | number | boolean) {
  if (typeof fact === 'string') return { stringValue: fact }
  return typeof fact === 'boolean' ? { boolValue: fact } : { intValue: String(fact) }
}
