import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestBytes } from '../../src/oci/oci.ts'
import { type Api, codesOf, openApi } from './harness.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const digest = digestBytes(Buffer.from('x'))

describe('bad input', () => {
  it.each([
    ['GET', '/v2/a//b/manifests/v1', 400, 'NAME_INVALID'],
    ['GET', '/v2/a/../b/manifests/v1', 400, 'NAME_INVALID'],
    ['GET', '/v2/a%2f..%2fb/manifests/v1', 400, 'NAME_INVALID'],
    ['GET', '/v2/UPPER/manifests/v1', 400, 'NAME_INVALID'],
    ['GET', `/v2/${'a/'.repeat(200)}a/manifests/v1`, 400, 'NAME_INVALID'],
    ['GET', '/v2/a/manifests/-v1', 400, 'TAG_INVALID'],
    ['GET', '/v2/a/manifests/sha256:123', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/a/blobs/sha256:123', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/a/referrers/v1', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/a/nonsense', 404, 'NAME_UNKNOWN'],
    ['POST', '/v2/a/blobs/uploads/?digest=sha256:123', 400, 'DIGEST_INVALID'],
    ['POST', '/v2/a/blobs/uploads/?mount=sha256:123', 400, 'DIGEST_INVALID'],
    ['POST', `/v2/a/blobs/uploads/?mount=${digest}&from=..%2Fb`, 400, 'NAME_INVALID'],
    ['POST', '/v2/a/blobs/uploads/?digest-algorithm=md5', 400, 'DIGEST_INVALID'],
    ['PATCH', '/v2/a/blobs/uploads/..%2f..%2fdb', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['PATCH', '/v2/a/blobs/uploads/none', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['PUT', '/v2/a/manifests/v1', 400, 'MANIFEST_INVALID'],
    ['PUT', `/v2/a/manifests/v1?${'tag=x&'.repeat(100)}`, 400, 'TAG_INVALID'],
    ['PUT', '/v2/a/manifests/v1?tag=!', 400, 'TAG_INVALID'],
    ['POST', '/v2/a/manifests/v1', 405, 'UNSUPPORTED'],
    ['DELETE', '/v2/', 405, 'UNSUPPORTED'],
    ['PATCH', '/v2/_catalog', 405, 'UNSUPPORTED'],
    ['TRACE', '/v2/', 405, 'UNSUPPORTED'],
  ])('%s %s is %d %s with a message', async (method, path, status, code) => {
    const answer = await api.call(method, path)
    expect([answer.status, codesOf(answer)]).toEqual([status, [code]])
    const { errors } = answer.json() as { errors: { message: string }[] }
    expect(errors[0]?.message.length).toBeGreaterThan(10)
    expect(answer.body.toString()).not.toMatch(/ at .*\.ts/)
  })

  it('names the methods that a path has', async () => {
    expect((await api.call('POST', '/v2/a/manifests/v1')).headers.allow).toBe('GET, HEAD, PUT, DELETE')
  })

  it("refuses pages that would change something with their reader's browser", async () => {
    const headers = { Origin: 'http://evil.example' }
    const answer = await api.call('POST', `/v2/a/blobs/uploads/?digest=${digest}`, { headers, body: 'x' })
    expect([answer.status, codesOf(answer)]).toEqual([403, ['DENIED']])
    expect((await api.call('HEAD', `/v2/a/blobs/${digest}`)).status).toBe(404)
  })

  it('lets a client that sends a large body see why it was refused', async () => {
    const answer = await api.call('PATCH', '/v2/a/blobs/uploads/none', {
      body: Buffer.alloc(2 * 1024 * 1024),
    })
    expect(answer.status).toBe(404)
  })

  it('cuts a body that nobody wants before it gets long', async () => {
    const sent = await new Promise<number>((resolve, reject) => {
      const socket = connect(api.port, '127.0.0.1')
      const block = Buffer.alloc(64 * 1024)
      let bytes = 0
      const send = () => {
        socket.write(block, (error) => {
          bytes += block.length
          if (error) resolve(bytes)
          else if (bytes > 512 * 1024 * 1024) reject(new Error('was never cut'))
          else send()
        })
      }
      socket.on('error', () => resolve(bytes))
      socket.write(
        'PATCH /v2/a/blobs/uploads/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n',
      )
      send()
    })
    expect(sent).toBeLessThan(64 * 1024 * 1024)
  })

  it.each([
    ['two lengths', 'Content-Length: 3\r\nContent-Length: 5'],
    ['a length and chunks', 'Content-Length: 3\r\nTransfer-Encoding: chunked'],
    ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 3'],
    ['a coding that nobody knows', 'Transfer-Encoding: identity, chunked, gzip'],
    ['a negative length', 'Content-Length: -3'],
    ['a length with words', 'Content-Length: 3 bytes'],
    ['a length beyond all numbers', 'Content-Length: 99999999999999999999999'],
    ['a header in two lines', 'Content-Length: 3\r\nX-A: b\r\n c'],
    ['a carriage return alone', 'X-A: b\rContent-Length: 3'],
    ['no host', ''],
  ])('believes no request with %s, nor what comes after it', async (what, lines) => {
    const host = what === 'no host' ? '' : 'Host: localhost\r\n'
    const smuggled = 'GET /v2/_catalog HTTP/1.1\r\nHost: localhost\r\n\r\n'
    const socket = connect(api.port, '127.0.0.1')
    socket.write(`PATCH /v2/a/blobs/uploads/none HTTP/1.1\r\n${host}${lines}\r\n\r\n0\r\n\r\n${smuggled}`)
    let said = ''
    for await (const chunk of socket) said += String(chunk)
    expect(said).toMatch(/^HTTP\/1\.1 400 /)
    expect(said).not.toContain('repositories')
  })

  it('answers requests that are no HTTP with 400 and goes on', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(api.port, '127.0.0.1', () => socket.write('NONSENSE\r\n\r\n'))
      socket.once('data', (data) => resolve(data.toString()))
      socket.once('error', reject)
    })
    expect(answer).toMatch(/^HTTP\/1.1 400/)
    expect((await api.call('GET', '/v2/')).status).toBe(200)
  })
})
