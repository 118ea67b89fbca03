/** What is asked of an upstream and what comes back, without credentials. */
import { describe, expect, it } from 'vitest'
import { digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import { emptyImage } from './fake-upstream.ts'
import { readAll, repository, tagged } from './fixture.ts'
import { useUpstream } from './use-upstream.ts'

const absent = digestBytes(Buffer.from('absent'))

describe('an upstream', () => {
  const at = useUpstream()

  it('gives a manifest by its tag, under the digest that its bytes have', async () => {
    const { digest, bytes } = at.fake.putManifest(repository, emptyImage(), '3.20')
    const manifest = await at.upstream.getManifest(repository, tagged('3.20'))
    expect(manifest).toEqual({ digest, mediaType: mediaTypes.ociManifest, bytes })
  })

  it('tells of a manifest without its bytes', async () => {
    const { digest, bytes } = at.fake.putManifest(repository, emptyImage(), '3.20')
    expect(await at.upstream.statManifest(repository, tagged('3.20'))).toEqual({
      digest,
      mediaType: mediaTypes.ociManifest,
      size: bytes.length,
    })
    expect(at.fake.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /v2/',
      'HEAD /v2/library/alpine/manifests/3.20',
    ])
  })

  it('gives a blob from anywhere on', async () => {
    const bytes = Buffer.from('0123456789')
    const digest = at.fake.putBlob(repository, bytes)
    for (const start of [0, 4, 9]) {
      await using blob = await at.upstream.openBlob(repository, digest, { start })
      expect(blob).toMatchObject({ start, size: 10 })
      expect(await readAll(blob?.chunks)).toEqual(bytes.subarray(start))
    }
  })

  it('gives a blob from its beginning where the upstream does no ranges', async () => {
    const digest = at.fake.putBlob(repository, Buffer.from('0123456789'))
    at.fake.intercept = ({ headers }) => {
      delete headers.range
      return false
    }
    await using blob = await at.upstream.openBlob(repository, digest, { start: 4 })
    expect(blob).toMatchObject({ start: 0, size: 10 })
  })

  it('says that what is not there is not there', async () => {
    expect(await at.upstream.statManifest(repository, tagged('none'))).toBeUndefined()
    expect(await at.upstream.getManifest(repository, { digest: absent })).toBeUndefined()
    expect(await at.upstream.openBlob(repository, absent)).toBeUndefined()
    expect(await at.upstream.listReferrers(repository, absent)).toEqual([])
  })

  it('counts what it asked and got', async () => {
    const { bytes } = at.fake.putManifest(repository, emptyImage(), '1')
    await at.upstream.getManifest(repository, tagged('1'))
    await at.upstream.statManifest(repository, tagged('1'))
    expect(at.upstream.status()).toEqual({
      name: 'up.test',
      url: at.fake.url.origin,
      isShared: true,
      reachable: true,
      manifestRequests: 2,
      blobRequests: 0,
      receivedBytes: bytes.length,
    })
  })
})
