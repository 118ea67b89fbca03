/** An upstream that lies, stalls, or sends what nobody asked for. */
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { digestBytes, maxManifestBytes, mediaTypes } from '../../src/oci/oci.ts'
import { emptyImage } from './fake-upstream.ts'
import { failureOf, readAll, repository, tagged } from './fixture.ts'
import { useUpstream } from './use-upstream.ts'

const blob = digestBytes(Buffer.from('blob'))

describe('an upstream that misbehaves', () => {
  const at = useUpstream()

  it('cannot pass one manifest off as another', async () => {
    const { digest } = at.fake.putManifest(repository, emptyImage(), '1')
    const other = digestBytes(Buffer.from('another'))
    at.fake.intercept = (_request, response) => {
      response.setHeader('docker-content-digest', other)
      response.setHeader('content-type', mediaTypes.ociManifest)
      response.end(JSON.stringify(emptyImage()))
      return true
    }
    for (const reference of [{ digest: other }, tagged('1')]) {
      const error = await failureOf(at.upstream.getManifest(repository, reference))
      expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', upstream: 'up.test', trouble: 'wrong' })
      expect(error.message).toBe(`up.test gave a manifest that hashes to ${digest} as ${other}`)
    }
  })

  it('is cut when it sends more of a blob than it said', async () => {
    at.fake.intercept = (_request, response) => {
      const socket = response.socket
      socket?.end('HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\n\r\n0123456789')
      return true
    }
    await using blob = await at.upstream.openBlob(repository, digestBytes(Buffer.from('x')), { start: 4 })
    const error = await failureOf(readAll(blob?.chunks))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'wrong' })
  })

  it('cannot change a tag between what it says of it and what it gives', async () => {
    const before = at.fake.putManifest(repository, emptyImage('before'), '1')
    const stat = await at.upstream.statManifest(repository, tagged('1'))
    const after = at.fake.putManifest(repository, emptyImage('after'), '1')
    const manifest = await at.upstream.getManifest(repository, tagged('1'))
    expect(stat?.digest).toBe(before.digest)
    expect(manifest).toMatchObject({ digest: after.digest, bytes: after.bytes })
    expect(digestBytes(manifest?.bytes ?? Buffer.alloc(0))).toBe(manifest?.digest)
  })

  it.each([
    [
      'what is larger than any manifest',
      (response: ServerResponse) => response.end(Buffer.alloc(maxManifestBytes + 1, 32)),
    ],
    ['a manifest that never ends', (response: ServerResponse) => endless(response)],
  ])('is cut when it sends %s', async (_what, send) => {
    at.fake.intercept = ({ url }, response) => {
      if (url === '/v2/') return false
      response.writeHead(200, { 'content-type': mediaTypes.ociManifest })
      send(response)
      return true
    }
    const error = await failureOf(at.upstream.getManifest(repository, tagged('1')))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'wrong' })
    expect(error.message).toBe(`up.test sent an answer of more than ${maxManifestBytes} bytes`)
  })

  it.each([
    ['is no JSON', 'manifest', mediaTypes.ociManifest],
    ['is of schema 1', '{"schemaVersion":1}', 'application/json'],
    ['says it is something else', JSON.stringify(emptyImage()), mediaTypes.dockerManifest],
    ['is an index and an image', JSON.stringify({ ...emptyImage(), manifests: [] }), mediaTypes.ociManifest],
    ['does not say what it is', '{"schemaVersion":2}', 'application/json'],
  ])('cannot give a manifest that %s', async (_what, body, type) => {
    at.fake.intercept = ({ url }, response) => {
      if (url === '/v2/') return false
      response.writeHead(200, { 'content-type': type }).end(body)
      return true
    }
    const error = await failureOf(at.upstream.getManifest(repository, tagged('1')))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'wrong' })
  })

  it.each([
    ['no length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n', 0],
    [
      'another range',
      'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-9/10\r\nContent-Length: 7\r\n\r\n3456789',
      4,
    ],
    [
      'a part of the range',
      'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-5/10\r\nContent-Length: 2\r\n\r\n45',
      4,
    ],
    [
      'a range of unknown size',
      'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/*\r\nContent-Length: 6\r\n\r\n456789',
      4,
    ],
    [
      'a range that nobody asked for',
      'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/1\r\nContent-Length: 1\r\n\r\n0',
      0,
    ],
    ['a range that it cannot satisfy', 'HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n', 4],
    ['a fault of its own', 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n', 0],
    ['what is not HTTP', 'SSH-2.0-OpenSSH_10.0\r\n\r\n', 0],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx', 0],
    ['a head that never ends', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`, 0],
  ])('cannot answer for a blob with %s', async (_what, raw, start) => {
    at.fake.intercept = ({ url }, response) => {
      if (url === '/v2/') return false
      response.socket?.end(raw)
      return true
    }
    const error = await failureOf(at.upstream.openBlob(repository, blob, { start }))
    expect(error.code).toBe('UPSTREAM_UNAVAILABLE')
    expect(error.message).toMatch(/^up\.test [a-z]/)
  })

  it.each([
    ['less than it said', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234'],
    ['nothing of it', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n'],
  ])('does not end a blob as if it were whole when it sends %s', async (_what, raw) => {
    at.fake.intercept = ({ url }, response) => {
      if (url === '/v2/') return false
      response.socket?.end(raw)
      return true
    }
    await using opened = await at.upstream.openBlob(repository, blob)
    expect((await failureOf(readAll(opened?.chunks))).code).toBe('UPSTREAM_UNAVAILABLE')
  })

  it('is not followed through pages of referrers without end, or to another host', async () => {
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }
    at.fake.intercept = ({ url = '' }, response) => {
      if (!url.includes('/referrers/')) return false
      const next = url.includes('page=9') ? 'http://localhost:1/next' : `${url}?page=${at.fake.seen.length}`
      response.writeHead(200, { 'content-type': mediaTypes.ociIndex, link: `<${next}>; rel="next"` })
      response.end(JSON.stringify(index))
      return true
    }
    expect(await at.upstream.listReferrers(repository, blob)).toEqual([])
    expect(at.fake.seen.length).toBeLessThan(20)
  })
})

function endless(response: ServerResponse): void {
  const chunk = Buffer.alloc(64 * 1024, 32)
  Readable.from(
    (function* () {
      for (;;) yield chunk
    })(),
  ).pipe(response)
}
