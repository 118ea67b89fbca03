import { describe, expect, it } from 'vitest'
import { createMetrics } from '../../../node/metrics/metrics.ts'
import { openTracing } from '../../../node/tracing/tracing.ts'
import { silentLogger, steadyClock } from '../../../src/base/base.ts'
import { openReceiver } from '../receiver.ts'
import { blobPull, digest, finished, startMs } from '../requests/finished.ts'

interface Span {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  kind: number
  startTimeUnixNano: string
  endTimeUnixNano: string
  attributes: { key: string; value: Record<string, unknown> }[]
  status: { code?: number }
}

/** What a collector gets of these requests. */
async function collect(requests: Parameters<typeof finished>[]) {
  await using collector = await openReceiver('/v1/traces')
  const metrics = createMetrics()
  const tracing = openTracing({
    url: collector.url,
    headers: { 'x-key': 'secret' },
    serviceName: 'shoal',
    instance: 'peer-a',
    version: '1.2.3',
    clock: steadyClock,
    random: Math.random,
    logger: silentLogger,
    metrics,
  })
  for (const request of requests) tracing.listener(finished(...request))
  await tracing[Symbol.asyncDispose]()
  const bodies = collector.received.map(({ body }) => body) as {
    resourceSpans: { resource: object; scopeSpans: { scope: object; spans: Span[] }[] }[]
  }[]
  const spans = bodies.flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
  )
  return { received: collector.received, bodies, spans, metrics }
}

const attributesOf = (span: Span | undefined): Record<string, unknown> =>
  Object.fromEntries((span?.attributes ?? []).map(({ key, value }) => [key, Object.values(value)[0]]))

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const parentId = '00f067aa0ba902b7'
const headers = (traceparent: string) => ({ headers: { traceparent } })

describe('tracing', () => {
  it('sends a pull as a span with a child for each stage', async () => {
    const stages = [
      { stage: 'find', startMs: startMs + 1, endMs: startMs + 20 },
      { stage: 'first-byte', startMs, endMs: startMs + 30.5 },
      { stage: 'transfer', startMs: startMs + 20, endMs: startMs + 90 },
    ] as const
    const peers = new Map([
      ['peer-b', 60],
      ['peer-c', 40],
    ])
    const pull = blobPull({ peers })
    const { spans, bodies, received } = await collect([
      [{ route: 'blob', stages, pull }, { url: `/v2/team/app/blobs/${digest}?ns=docker.io` }],
    ])
    expect(received[0]?.headers).toMatchObject({ 'content-type': 'application/json', 'x-key': 'secret' })
    expect(bodies[0]?.resourceSpans[0]?.resource).toEqual({
      attributes: [
        { key: 'service.name', value: { stringValue: 'shoal' } },
        { key: 'service.version', value: { stringValue: '1.2.3' } },
        { key: 'service.instance.id', value: { stringValue: 'peer-a' } },
      ],
    })
    const [root, ...children] = spans
    expect(root).toMatchObject({
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
      spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
      name: 'GET /v2/{name}/blobs/{digest}',
      kind: 2,
      startTimeUnixNano: '1700000000000000000',
      endTimeUnixNano: '1700000000100000000',
      status: {},
    })
    expect(root?.parentSpanId).toBeUndefined()
    expect(attributesOf(root)).toMatchObject({
      'http.response.status_code': '200',
      'http.route': '/v2/{name}/blobs/{digest}',
      'url.path': `/v2/team/app/blobs/${digest}`,
      'shoal.repository': 'team/app',
      'shoal.bytes.local': '0',
      'shoal.bytes.peer': '100',
      'shoal.peers': '2',
    })
    expect(children.map(({ name }) => name)).toEqual(['find', 'first-byte', 'transfer'])
    expect(children[1]).toMatchObject({ endTimeUnixNano: '1700000000030500000' })
    expect(children.every((span) => span.parentSpanId === root?.spanId)).toBe(true)
    expect(new Set(spans.map((span) => span.traceId)).size).toBe(1)
    expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(4)
  })

  it('goes on with the trace of a caller, if that is sampled', async () => {
    const { spans } = await collect([
      [{}, headers(`00-${traceId}-${parentId}-01`)],
      [{}, headers(`00-${traceId}-${parentId}-00`)],
      [{}, headers(`cc-${traceId}-${parentId}-01-what-comes-later`)],
    ])
    expect(spans.map((span) => [span.traceId, span.parentSpanId])).toEqual([
      [traceId, parentId],
      [traceId, parentId],
    ])
  })

  it.each([
    '',
    'nonsense',
    `00-${traceId}-${parentId}`,
    `00-${traceId}-${parentId}-01-more`,
    `ff-${traceId}-${parentId}-01`,
    `00-${'0'.repeat(32)}-${parentId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${parentId}-01`,
    `00-${traceId}-${parentId}-01\u0000`,
    '0'.repeat(10_000),
  ])('begins a trace of its own where the header is %j', async (traceparent) => {
    const { spans } = await collect([[{}, headers(traceparent)]])
    expect(spans).toHaveLength(1)
    expect(spans[0]?.parentSpanId).toBeUndefined()
    expect(spans[0]?.traceId).not.toBe(traceId)
  })

  it('marks what failed', async () => {
    const error = new TypeError('broken')
    const { spans } = await collect([
      [{ status: 503, error }],
      [{ pull: blobPull({ local: 1 }, { isComplete: false }) }],
      [{ status: 404 }],
    ])
    expect(spans.map(({ status }) => status.code)).toEqual([2, 2, undefined])
    expect(attributesOf(spans[0])['error.type']).toBe('TypeError')
  })

  it('begins so many traces a second, and cuts what clients say of themselves', async () => {
    const many = Array.from({ length: 1000 }, (): [] => [])
    const { spans, metrics } = await collect(many)
    expect(spans).toHaveLength(50)
    expect(metrics.read('shoal_trace_spans_total', { result: 'delivered' })).toBe(50)
    const long = await collect([[{}, { url: 'x'.repeat(9000), headers: { 'user-agent': 'y'.repeat(9000) } }]])
    expect(JSON.stringify(long.spans).length).toBeLessThan(2000)
  })
})
