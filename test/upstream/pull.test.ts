/** What is asked of an upstream and what comes back, without credentials. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import type { Upstream } from '../../src/upstream/upstream.ts'
import { emptyImage, type FakeUpstream, openFakeUpstream } from './fake-upstream.ts'
import { openUpstream, readAll, repository, tagged } from './fixture.ts'

const absent = digestBytes(Buffer.from('absent'))

describe('an upstream', () => {
  let fake: FakeUpstream
  let upstream: Upstream
  let opened: AsyncDisposableStack

  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    fake = opened.use(await openFakeUpstream())
    upstream = opened.use(await openUpstream({ url: fake.url })).upstream
  })
  afterEach(() => opened.disposeAsync())

  it('gives a manifest by its tag, under the digest that its bytes have', async () => {
    const { digest, bytes } = fake.putManifest(repository, emptyImage(), '3.20')
    const manifest = await upstream.getManifest(repository, tagged('3.20'))
    expect(manifest).toEqual({ digest, mediaType: mediaTypes.ociManifest, bytes })
  })

  it('tells of a manifest without its bytes', async () => {
    const { digest, bytes } = fake.putManifest(repository, emptyImage(), '3.20')
    expect(await upstream.statManifest(repository, tagged('3.20'))).toEqual({
      digest,
      mediaType: mediaTypes.ociManifest,
      size: bytes.length,
    })
    expect(fake.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /v2/',
      'HEAD /v2/library/alpine/manifests/3.20',
    ])
  })

  it('gives a blob from anywhere on', async () => {
    const bytes = Buffer.from('0123456789')
    const digest = fake.putBlob(repository, bytes)
    for (const start of [0, 4, 9]) {
      await using blob = await upstream.openBlob(repository, digest, { start })
      expect(blob).toMatchObject({ start, size: 10 })
      expect(await readAll(blob?.chunks)).toEqual(bytes.subarray(start))
    }
  })

  it('gives a blob from its beginning where the upstream does no ranges', async () => {
    const digest = fake.putBlob(repository, Buffer.from('0123456789'))
    fake.intercept = ({ headers }) => {
      delete headers.range
      return false
    }
    await using blob = await upstream.openBlob(repository, digest, { start: 4 })
    expect(blob).toMatchObject({ start: 0, size: 10 })
  })

  it('says that what is not there is not there', async () => {
    expect(await upstream.statManifest(repository, tagged('none'))).toBeUndefined()
    expect(await upstream.getManifest(repository, { digest: absent })).toBeUndefined()
    expect(await upstream.openBlob(repository, absent)).toBeUndefined()
    expect(await upstream.listReferrers(repository, absent)).toEqual([])
  })

  it('counts what it asked and got', async () => {
    const { bytes } = fake.putManifest(repository, emptyImage(), '1')
    await upstream.getManifest(repository, tagged('1'))
    await upstream.statManifest(repository, tagged('1'))
    expect(upstream.status()).toEqual({
      name: 'up.test',
      url: fake.url.origin,
      isShared: true,
      reachable: true,
      manifestRequests: 2,
      blobRequests: 0,
      receivedBytes: bytes.length,
    })
  })
})
