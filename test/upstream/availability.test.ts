/** An upstream that is away, slow, or wants to be left alone. */
import type { ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestBytes } from '../../src/oci/oci.ts'
import type { Upstream, UpstreamChange, UpstreamOptions } from '../../src/upstream/upstream.ts'
import { emptyImage, type FakeUpstream, openFakeUpstream } from './fake-upstream.ts'
import { failureOf, openUpstream, readAll, repository, tagged, testClock } from './fixture.ts'

const tag = tagged('1')
const bytes = Buffer.alloc(300_000, 7)
const digest = digestBytes(bytes)

describe('an upstream', () => {
  let fake: FakeUpstream
  let opened: AsyncDisposableStack
  let clock: ReturnType<typeof testClock>
  /** Answers, and closes the connections of, what was left hanging. */
  let hanging: ServerResponse[]

  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    fake = opened.use(await openFakeUpstream())
    fake.putManifest(repository, emptyImage(), '1')
    fake.putBlob(repository, bytes)
    clock = testClock()
    hanging = []
  })
  afterEach(() => opened.disposeAsync())

  const open = async (options: Partial<UpstreamOptions> = {}): Promise<Upstream> =>
    opened.use(await openUpstream({ url: fake.url, ...options }, { clock })).upstream
  const hang = () => {
    fake.intercept = (_request, response) => hanging.push(response) > 0
  }
  const answer = (status: number, headers: Record<string, string | string[]> = {}) => {
    fake.intercept = ({ url }, response) => {
      if (url === '/v2/') return false
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
      response.writeHead(status).end()
      return true
    }
  }

  it('that hangs fails in time, says so, and keeps nobody else waiting', async () => {
    const upstream = await open({ limits: { answerMs: 300 } })
    hang()
    const error = await failureOf(upstream.getManifest(repository, tag))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'unreachable' })
    expect(error.message).toBe('up.test does not answer in time')
    expect(upstream.status()).toMatchObject({ reachable: false, lastError: 'does not answer in time' })

    const seen = fake.seen.length
    const next = await failureOf(upstream.openBlob(repository, digest))
    expect(next).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'unreachable', retryAfterMs: 1_000 })
    expect(fake.seen).toHaveLength(seen)
  })

  it('that was away is tried by one for all, and back with its first answer', async () => {
    const upstream = await open({ limits: { answerMs: 1_000 } })
    await upstream.statManifest(repository, tag)
    hang()
    const together = Array.from({ length: 4 }, () => failureOf(upstream.statManifest(repository, tag)))
    await Promise.all(together)
    clock.pass(1_001)
    const before = fake.seen.length
    const all = await Promise.all(
      Array.from({ length: 5 }, () => failureOf(upstream.statManifest(repository, tag))),
    )
    expect(all.map(({ code }) => code)).toEqual(Array(5).fill('UPSTREAM_UNAVAILABLE'))
    expect(fake.seen).toHaveLength(before + 1)
    fake.intercept = () => false
    clock.pass(2_001)
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
    expect(upstream.status().reachable).toBe(true)
  })

  it('tells once that it went, and once that it came back', async () => {
    const changes: [string, UpstreamChange][] = []
    const { upstream } = opened.use(
      await openUpstream(
        { url: fake.url, limits: { answerMs: 300 } },
        { clock, onChange: (...change) => void changes.push(change) },
      ),
    )
    await upstream.statManifest(repository, tag)
    expect(changes).toEqual([])
    hang()
    for (const _ of [1, 2, 3]) {
      await failureOf(upstream.statManifest(repository, tag))
      clock.pass(60_000)
    }
    expect(changes).toEqual([['up.test', { to: 'away', reason: 'does not answer in time' }]])
    fake.intercept = () => false
    for (const _ of [1, 2]) await upstream.statManifest(repository, tag)
    expect(changes.slice(1)).toEqual([['up.test', { to: 'back' }]])
  })

  it('that does not finish a handshake fails in time', async () => {
    const silent = createServer()
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const sockets: Socket[] = []
    silent.on('connection', (socket) => sockets.push(socket))
    const { port } = silent.address() as AddressInfo
    const upstream = await open({ url: new URL(`https://127.0.0.1:${port}`), limits: { answerMs: 300 } })
    const error = await failureOf(upstream.statManifest(repository, tag))
    expect(error.message).toBe('up.test does not answer in time')
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => silent.close(resolve))
  })

  it('that refuses connections says so', async () => {
    const upstream = await open()
    await fake[Symbol.asyncDispose]()
    const error = await failureOf(upstream.statManifest(repository, tag))
    expect(error.message).toBe('up.test refuses connections')
  })

  it('is asked again when it had closed a connection that was kept', async () => {
    const upstream = await open()
    await upstream.statManifest(repository, tag)
    fake.intercept = (_request, response) => {
      response.destroy()
      fake.intercept = () => false
      return true
    }
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
  })

  it.each([
    ['several times', 429, { 'retry-after': ['60', '120'] }, 10_000],
    ['seconds', 429, { 'retry-after': '120' }, 120_000],
    [
      'a date by its own clock',
      503,
      { 'retry-after': 'Wed, 01 Jan 2020 00:00:30 GMT', date: 'Wed, 01 Jan 2020 00:00:00 GMT' },
      30_000,
    ],
    ['no time', 429, {}, 10_000],
    ['a time that nobody waits for', 429, { 'retry-after': '999999999' }, 24 * 3_600_000],
  ])('that asks to wait, giving %s, is not asked before', async (_how, status, headers, waitMs) => {
    const upstream = await open()
    answer(status, headers)
    const error = await failureOf(upstream.getManifest(repository, tag))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'paused', retryAfterMs: waitMs })
    expect(upstream.status()).toMatchObject({ reachable: true, pausedUntilMs: clock.now() + waitMs })
    fake.intercept = () => false
    const seen = fake.seen.length
    clock.pass(waitMs - 1)
    for (const work of [upstream.statManifest(repository, tag), upstream.openBlob(repository, digest)]) {
      expect(await failureOf(work)).toMatchObject({ trouble: 'paused', retryAfterMs: 1 })
    }
    expect(fake.seen).toHaveLength(seen)
    clock.pass(1)
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
    expect(upstream.status().pausedUntilMs).toBeUndefined()
  })

  it('that is overloaded without saying for how long may be asked again at once', async () => {
    const upstream = await open()
    answer(503)
    await failureOf(upstream.statManifest(repository, tag))
    fake.intercept = () => false
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
  })

  it('is shown with what it tells of its limits', async () => {
    const upstream = await open()
    fake.intercept = (_request, response) => {
      response.setHeader('RateLimit-Limit', '100;w=21600')
      response.setHeader('RateLimit-Remaining', '76;w=21600')
      return false
    }
    await upstream.statManifest(repository, tag)
    expect(upstream.status()).toMatchObject({ limit: 100, remaining: 76 })
  })

  it('whose body stands still is cut, with what came before', async () => {
    const upstream = await open({ limits: { idleMs: 200 } })
    fake.intercept = (_request, response) => {
      response.writeHead(200, { 'content-length': bytes.length })
      response.write(bytes.subarray(0, 1_000))
      return true
    }
    await using blob = await upstream.openBlob(repository, digest)
    const got: Uint8Array[] = []
    const error = await failureOf(
      (async () => {
        for await (const chunk of blob?.chunks ?? []) got.push(chunk)
      })(),
    )
    expect(error.message).toBe('up.test stopped in the middle of an answer')
    expect(Buffer.concat(got)).toHaveLength(1_000)
  })

  it('whose body is read slowly is not taken for one that stands still', async () => {
    const upstream = await open({ limits: { idleMs: 600 } })
    await using unread = await upstream.openBlob(repository, digest)
    fake.intercept = (_request, response) => {
      response.writeHead(200, { 'content-length': bytes.length })
      response.write(bytes.subarray(0, 1_000))
      return true
    }
    await using silent = await upstream.openBlob(repository, digest)
    await failureOf(readAll(silent?.chunks))
    expect(await readAll(unread?.chunks)).toHaveLength(bytes.length)
  })

  it('gives no more blobs at once than it may', async () => {
    const upstream = await open({ limits: { maxBlobs: 1 } })
    const first = await upstream.openBlob(repository, digest)
    const leaving = new AbortController()
    const left = upstream.openBlob(repository, digest, { signal: leaving.signal })
    const second = upstream.openBlob(repository, digest)
    leaving.abort(new Error('no patience'))
    expect((await failureOf(left)).message).toBe('no patience')
    expect(upstream.status().blobRequests).toBe(1)
    await first?.[Symbol.asyncDispose]()
    await using blob = await second
    expect(await readAll(blob?.chunks)).toHaveLength(bytes.length)
  })

  it('gives bytes as its budget allows', async () => {
    const waits: number[] = []
    const slept: number[] = []
    const budget = { take: (count: number) => waits.push(count) && count }
    clock.sleep = async (ms) => void slept.push(ms)
    const upstream = await open({ budget })
    await using blob = await upstream.openBlob(repository, digest)
    await readAll(blob?.chunks)
    expect(waits.reduce((sum, count) => sum + count, 0)).toBe(bytes.length)
    expect(slept).toEqual(waits)
  })

  it('is not blamed for a blob that was closed', async () => {
    const upstream = await open()
    const blob = await upstream.openBlob(repository, digest)
    await blob?.[Symbol.asyncDispose]()
    expect((await failureOf(readAll(blob?.chunks))).message).toBe('the blob was closed')
    expect(upstream.status().lastError).toBeUndefined()
  })

  it('is left when the caller leaves, before and within an answer', async () => {
    const upstream = await open()
    const leaving = new AbortController()
    const { signal } = leaving
    await using blob = await upstream.openBlob(repository, digest, { signal })
    hang()
    const manifest = failureOf(upstream.getManifest(repository, tag, { signal }))
    leaving.abort(new Error('enough'))
    expect((await manifest).message).toBe('enough')
    expect((await failureOf(readAll(blob?.chunks))).message).toBe('enough')
    expect(upstream.status().lastError).toBeUndefined()
  })
})
