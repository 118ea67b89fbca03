/** An upstream that lies, stalls, or sends what nobody asked for. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import type { Upstream } from '../../src/upstream/upstream.ts'
import { emptyImage, type FakeUpstream, openFakeUpstream } from './fake-upstream.ts'
import { failureOf, openUpstream, readAll, repository, tagged } from './fixture.ts'

describe('an upstream that misbehaves', () => {
  let fake: FakeUpstream
  let upstream: Upstream
  let opened: AsyncDisposableStack

  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    fake = opened.use(await openFakeUpstream())
    upstream = opened.use(await openUpstream({ url: fake.url })).upstream
  })
  afterEach(() => opened.disposeAsync())

  it('cannot pass one manifest off as another', async () => {
    const { digest } = fake.putManifest(repository, emptyImage(), '1')
    const other = digestBytes(Buffer.from('another'))
    fake.intercept = (_request, response) => {
      response.setHeader('docker-content-digest', other)
      response.setHeader('content-type', mediaTypes.ociManifest)
      response.end(JSON.stringify(emptyImage()))
      return true
    }
    for (const reference of [{ digest: other }, tagged('1')]) {
      const error = await failureOf(upstream.getManifest(repository, reference))
      expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', upstream: 'up.test', trouble: 'wrong' })
      expect(error.message).toBe(`up.test gave a manifest that hashes to ${digest} as ${other}`)
    }
  })

  it('is cut when it sends more of a blob than it said', async () => {
    fake.intercept = (_request, response) => {
      const socket = response.socket
      socket?.end('HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\n\r\n0123456789')
      return true
    }
    await using blob = await upstream.openBlob(repository, digestBytes(Buffer.from('x')), { start: 4 })
    const error = await failureOf(readAll(blob?.chunks))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'wrong' })
  })
})
