/** Ranges as clients of today ask for them: each test sends what the client that it names sends. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Pulled, Tracer } from '../../src/base/base.ts'
import type { Digest } from '../../src/oci/oci.ts'
import { type Api, openApi } from './harness.ts'

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
