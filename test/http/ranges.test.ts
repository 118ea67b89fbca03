/** Ranges as clients of today ask for them: each test sends what the client that it names sends. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Pulled, Tracer } from '../../src/base/base.ts'
import type { Digest } from '../../src/oci/oci.ts'
import { nowhere } from '../../src/registry/registry.ts'
import { type Answer, type Api, openApi } from './harness.ts'

const bytes = randomBytes(8 * 1024 * 1024 + 17)
let api: Api
let digest: Digest
let path: string
beforeAll(async () => {
  api = await openApi()
  digest = await api.pushBlob('team/app', bytes)
  path = `/v2/team/app/blobs/${digest}`
})
afterAll(() => api[Symbol.asyncDispose]())

const get = (range: string): Promise<Answer> => api.call('GET', path, { headers: { Range: range } })

describe('ollama', () => {
  it('is told the length and where the blob is, and reads 16 exact ranges at once', async () => {
    const head = await api.call('HEAD', path)
    expect([head.status, head.headers['content-length']]).toEqual([200, String(bytes.length)])
    const { location } = (await api.call('GET', path)).headers
    const direct = new URL(location ?? expect.fail('there is no Location'), 'http://localhost').pathname
    const part = Math.ceil(bytes.length / 16)
    const parts = await Promise.all(
      Array.from({ length: 16 }, async (_, index) => {
        const last = Math.min(bytes.length, (index + 1) * part) - 1
        const answer = await api.call('GET', direct, { headers: { Range: `bytes=${index * part}-${last}` } })
        expect(answer.status).toBe(206)
        return answer.body
      }),
    )
    expect(Buffer.concat(parts).equals(bytes)).toBe(true)
  })

  it.each(['HEAD', 'GET'])('is told the same path on %s, with a range as without', async (method) => {
    const whole = await api.call(method, path)
    const part = await api.call(method, path, { headers: { Range: 'bytes=0-9' } })
    expect([whole.headers.location, part.headers.location]).toEqual([path, path])
  })
})

describe('a reader that leaves', () => {
  /** Takes the first bytes of the answer and closes; resolves with what is told of the request. */
  async function leave(range: string) {
    const ended = Promise.withResolvers<{ pull: Pulled | undefined; error: unknown }>()
    const nothing = () => undefined
    const tracer: Tracer = {
      start({ method }) {
        let pull: Pulled | undefined
        return {
          startMs: 0,
          stage: nothing,
          pushed: nothing,
          deleted: nothing,
          signedIn: nothing,
          pulled(told) {
            pull = told
          },
          end(_route, _status, error) {
            if (method === 'GET') ended.resolve({ pull, error })
          },
        }
      },
    }
    await using api = await openApi({ tracer })
    const large = await api.pushBlob('team/app', Buffer.alloc(64 * 1024 * 1024))
    const options = { path: `/v2/team/app/blobs/${large}`, headers: { Range: range } }
    const outgoing = request({ port: api.port, agent: false, ...options })
    outgoing.on('error', () => undefined).end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    await once(response, 'data')
    outgoing.destroy()
    return await ended.promise
  }

  it.each(['bytes=0-', 'bytes=1048576-'])('has what it wanted of %s, as containerd has', async (range) => {
    const { pull, error } = await leave(range)
    expect(pull).toMatchObject({ isComplete: true })
    expect(pull?.origins.local).toBeLessThan(63 * 1024 * 1024)
    expect(error).toBeUndefined()
  })

  it('lacks the rest of a range that it gave an end', async () => {
    const { pull, error } = await leave('bytes=0-67000000')
    expect(pull).toMatchObject({ isComplete: false })
    expect(error).toMatchObject({ name: 'ClientGoneError' })
  })
})

describe('of a blob that is not here', () => {
  it.each([
    ['bytes=-10', [{ start: 90, end: 100 }]],
    [
      'bytes=0-1, 5-9',
      [
        { start: 0, end: 2 },
        { start: 5, end: 10 },
      ],
    ], // prettier-ignore
    ['bytes=100-', undefined],
    ['bytes=200-300', []],
    ['bytes=0-', undefined],
    // As a client goes on after a break, or containerd reads a chunk.
    ['bytes=5-', undefined],
    ['bytes=x', undefined],
    [undefined, undefined],
  ])('%s has this much brought here', async (header, wanted) => {
    const asked: unknown[] = []
    await using alone = await openApi({
      elsewhere: {
        ...nowhere,
        async openBlob(_repository, _digest, options) {
          asked.push(options?.ranges?.(100))
          return undefined
        },
      },
    })
    const headers = header === undefined ? {} : { Range: header }
    expect((await alone.call('GET', path, { headers })).status).toBe(404)
    expect(asked).toEqual([wanted])
  })

  it('all is brought where the client no longer means the range', async () => {
    const asked: unknown[] = []
    await using alone = await openApi({
      elsewhere: {
        ...nowhere,
        async openBlob(_repository, _digest, options) {
          asked.push(options?.ranges)
          return undefined
        },
      },
    })
    await alone.call('GET', path, { headers: { Range: 'bytes=0-9', 'If-Range': '"another"' } })
    expect(asked).toEqual([undefined])
  })
})

describe('several ranges at once', () => {
  it('come as parts, in the order asked for, with a length', async () => {
    const answer = await get('bytes=100-199, -10, 5000000-5000000')
    expect(answer.status).toBe(206)
    expect(answer.headers).toMatchObject({ 'docker-content-digest': digest, location: path })
    expect(answer.headers['content-range']).toBeUndefined()
    const end = bytes.length
    expect(partsOf(answer)).toEqual([
      { first: 100, last: 199, isRight: true },
      { first: end - 10, last: end - 1, isRight: true },
      { first: 5_000_000, last: 5_000_000, isRight: true },
    ])
  })

  it('come one by one to podman, which counts its 1024 chunks, even where they touch', async () => {
    // Of a layer of some GiB they have ten digits.
    const digits = (at: number) => String(at).padStart(10, '0')
    const ranges = Array.from(
      { length: 1024 },
      (_, index) => `${digits(8000 * index)}-${digits(8000 * index + 7999)}`,
    )
    const parts = partsOf(await get(`bytes=${ranges.join(',')}`))
    expect(parts.map(({ first }) => first)).toEqual(ranges.map((_, index) => 8000 * index))
    expect(parts.every(({ isRight }) => isRight)).toBe(true)
  })

  it('are merged where they overlap, so that nobody gets a byte twice', async () => {
    const answer = await get('bytes=1000-1999,0-99,1500-2499,50-60')
    expect(partsOf(answer)).toEqual([
      { first: 0, last: 99, isRight: true },
      { first: 1000, last: 2499, isRight: true },
    ])
    const overlapping = Array.from({ length: 500 }, (_, index) => `${index}-`).join(',')
    const single = await get(`bytes=${overlapping}`)
    expect([single.status, single.headers['content-range']]).toEqual([
      206,
      `bytes 0-${bytes.length - 1}/${bytes.length}`,
    ])
    expect(single.body.equals(bytes)).toBe(true)
  })

  it('are the whole blob where there are more than 1024', async () => {
    const ranges = Array.from({ length: 1025 }, (_, index) => `${2 * index}-${2 * index}`)
    const answer = await get(`bytes=${ranges.join(',')}`)
    expect([answer.status, answer.headers['content-length']]).toEqual([200, String(bytes.length)])
  })

  it('leave out what lies beyond the end, and are 416 where all does', async () => {
    const answer = await get(`bytes=0-9,${bytes.length}-`)
    expect([answer.status, answer.headers['content-range']]).toEqual([206, `bytes 0-9/${bytes.length}`])
    expect((await get(`bytes=${bytes.length}-,${bytes.length + 5}-`)).status).toBe(416)
  })
})

function partsOf({ headers, body }: Answer) {
  expect(headers['content-length']).toBe(String(body.length))
  const boundary = /^multipart\/byteranges; boundary=([A-Za-z0-9-]+)$/.exec(
    headers['content-type'] ?? '',
  )?.[1]
  const delimiter = `\r\n--${boundary}`
  const parts: { first: number; last: number; isRight: boolean }[] = []
  let at = 0
  while (body.indexOf(`${delimiter}--\r\n`, at) !== at) {
    expect(body.indexOf(`${delimiter}\r\n`, at)).toBe(at)
    const blank = body.indexOf('\r\n\r\n', at)
    const head = body.subarray(at + delimiter.length, blank).toString()
    expect(head).toContain('\r\nContent-Type: application/octet-stream')
    const [, first, last, size] = /Content-Range: bytes (\d+)-(\d+)\/(\d+)/.exec(head) ?? []
    expect(Number(size)).toBe(bytes.length)
    const range = { first: Number(first), last: Number(last) }
    const content = blank + 4
    at = content + range.last + 1 - range.first
    parts.push({
      ...range,
      isRight: body.subarray(content, at).equals(bytes.subarray(range.first, range.last + 1)),
    })
  }
  expect(at + delimiter.length + 4).toBe(body.length)
  return parts
}
