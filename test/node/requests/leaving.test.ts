/** Clients that read a chunk of what is on its way and close, as containerd does, told to what counts and logs. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { createMetrics } from '../../../node/metrics/metrics.ts'
import { openRequestLog } from '../../../node/requests/request-log.ts'
import { countRequests } from '../../../node/requests/request-metrics.ts'
import { createRequestTracer } from '../../../node/requests/request-tracer.ts'
import { BlobUnavailableError } from '../../../src/exchange/errors.ts'
import { digestBytes } from '../../../src/oci/oci.ts'
import type { OpenBlob } from '../../../src/store/store.ts'
import { openApi } from '../../http/harness.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

const size = 64 * 1024 * 1024
const digest = digestBytes(Buffer.from('large'))
const path = `/v2/team/app/blobs/${digest}`
const readers = 100

function listen(expected: number) {
  const lines: { level: string; message: string }[] = []
  const level = (name: string) => (_fields: object, message: string) =>
    void lines.push({ level: name, message })
  const logger = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') }
  const metrics = createMetrics()
  const over = Promise.withResolvers<void>()
  let count = 0
  const listeners = [
    openRequestLog(logger, { isVerbose: true }).listener,
    countRequests(metrics),
    () => {
      if (++count === expected) over.resolve()
    },
  ]
  return { lines, metrics, over: over.promise, tracer: createRequestTracer(listeners, logger) }
}

/** On its way from a member; nothing of it is there before `begins` resolves. */
function coming(begins: () => Promise<void>): OpenBlob {
  let read = 0
  return {
    size,
    async *chunks(start, end) {
      await begins()
      const chunk = Buffer.alloc(256 * 1024)
      for (let at = start; at < end; at += chunk.length) {
        read += chunk.length
        yield chunk
      }
    },
    provenance: () => ({ origins: { local: 0, upstream: 0, peers: new Map([['a', read]]) }, stages: [] }),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

it('are no broken pulls, however many, and nothing in the log says so', async () => {
  const told = listen(readers)
  const openBlob = async () => coming(async () => undefined)
  await using api = await openApi({ tracer: told.tracer, elsewhere: { openBlob } })
  await Promise.all(
    Array.from({ length: readers }, async (_, reader) => {
      const headers = { Range: `bytes=${reader * 256 * 1024}-` }
      const outgoing = request({ port: api.port, agent: false, path, headers })
      outgoing.on('error', () => undefined).end()
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
      await once(response, 'data')
      outgoing.destroy()
    }),
  )
  await told.over
  expect(told.metrics.read('shoal_pulls_total', { kind: 'blob', source: 'peer' })).toBe(readers)
  expect(told.metrics.read('shoal_pulls_broken_total')).toBe(0)
  expect(
    told.lines.filter(({ level, message }) => /left|broke/.test(message) || /warn|error/.test(level)),
  ).toEqual([])
})

describe('of which nothing is here yet', () => {
  const clock = new SteppedClock()

  it('have the head of the answer in time, as they wait 30 s for it', async () => {
    const begins = Promise.withResolvers<void>()
    await using api = await openApi({
      clock,
      elsewhere: { openBlob: async () => coming(() => begins.promise) },
    })
    const outgoing = request({ port: api.port, agent: false, path, headers: { Range: 'bytes=1048576-' } })
    outgoing.on('error', () => undefined).end()
    const answered = once(outgoing, 'response')
    await clock.untilAsleep(25_000)
    clock.advance(25_000)
    const [response] = (await answered) as [IncomingMessage]
    expect([response.statusCode, response.headers['content-range']]).toEqual([
      206,
      `bytes 1048576-${size - 1}/${size}`,
    ])
    begins.resolve()
    await once(response, 'data')
    outgoing.destroy()
  })

  it('are told why where nothing comes, and are not given the beginning of an answer', async () => {
    const reason = new BlobUnavailableError(digest, 'nothing came for 20 s')
    const told = listen(3)
    await using api = await openApi({
      clock,
      tracer: told.tracer,
      elsewhere: { openBlob: async () => coming(() => Promise.reject(reason)) },
    })
    for (const headers of [{}, { Range: 'bytes=5-9' }, { Range: 'bytes=0-1,4-5' }]) {
      const answer = await api.call('GET', path, { headers })
      expect([answer.status, answer.headers['content-range'], answer.headers['retry-after']]).toEqual([
        503,
        undefined,
        '1',
      ])
      expect(answer.json()).toMatchObject({
        errors: [{ code: 'UNAVAILABLE', message: expect.stringContaining('nothing came for 20 s') }],
      })
    }
    await told.over
    expect(told.metrics.read('shoal_pulls_broken_total')).toBe(0)
    expect(told.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual(
      Array.from({ length: 3 }, () => 'a pull failed'),
    )
  })
})
