/** Referrers, from registries that have the API and from those that keep them under a tag. */
import { describe, expect, it } from 'vitest'
import { type Digest, digestBytes, hexOf, mediaTypes } from '../../src/oci/oci.ts'
import { failureOf, repository } from './fixture.ts'
import { useUpstream } from './use-upstream.ts'

const subject = digestBytes(Buffer.from('subject'))
const digests = Array.from({ length: 5 }, (_, index) => digestBytes(Buffer.from(`referrer ${index}`)))

const indexOf = (...listed: Digest[]) => ({
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: listed.map((digest) => ({ mediaType: mediaTypes.ociManifest, digest, size: 3 })),
})
const tagOf = (digest: Digest) => `${digest.split(':')[0]}-${hexOf(digest).slice(0, 64)}`

describe('the referrers of a manifest', () => {
  const at = useUpstream()

  const asked = () => at.fake.seen.map(({ path }) => path.slice('/v2/library/alpine/'.length)).slice(1)
  /** Answers the API with this. */
  const answerReferrers = (status: number, body: string, type: string = mediaTypes.ociIndex) => {
    at.fake.intercept = ({ url = '' }, response) => {
      if (!url.includes('/referrers/')) return false
      response.writeHead(status, { 'content-type': type }).end(body)
      return true
    }
  }

  it('are told by the API, all pages of them', async () => {
    at.fake.intercept = ({ url = '' }, response) => {
      if (!url.includes('/referrers/')) return false
      const page = Number(new URL(url, at.fake.url).searchParams.get('page') ?? 0)
      response.writeHead(200, {
        'content-type': mediaTypes.ociIndex,
        ...(page < 2 ? { link: `<${url.split('?')[0]}?page=${page + 1}>; rel="next"` } : {}),
      })
      response.end(JSON.stringify(indexOf(...digests.slice(page * 2, page * 2 + 2))))
      return true
    }
    expect(await at.upstream.listReferrers(repository, subject)).toEqual(digests)
    expect(asked()).toEqual(['', '?page=1', '?page=2'].map((query) => `referrers/${subject}${query}`))
  })

  it('are none where the API says so, whatever stands under the tag', async () => {
    at.fake.putManifest(repository, indexOf(...digests), tagOf(subject))
    answerReferrers(200, JSON.stringify(indexOf()))
    expect(await at.upstream.listReferrers(repository, subject)).toEqual([])
    expect(asked()).toEqual([`referrers/${subject}`])
  })

  it('are told by the tag where there is no API', async () => {
    at.fake.putManifest(repository, indexOf(...digests), tagOf(subject))
    expect(await at.upstream.listReferrers(repository, subject)).toEqual(digests)
    expect(asked()).toEqual([`referrers/${subject}`, `manifests/${tagOf(subject)}`])
  })

  it('are told by the tag of a digest that is longer than a tag may be', async () => {
    const long = digestBytes(Buffer.from('subject'), 'sha512')
    at.fake.putManifest(repository, indexOf(...digests), tagOf(long))
    expect(tagOf(long)).toHaveLength('sha512-'.length + 64)
    expect(await at.upstream.listReferrers(repository, long)).toEqual(digests)
  })

  it.each([
    ['a page for people', 200, '<html>', 'text/html'],
    ['no index', 200, '{"schemaVersion":2}', mediaTypes.ociIndex],
    [
      'an index of what has no digest',
      200,
      JSON.stringify(indexOf('sha256:0' as Digest)),
      mediaTypes.ociIndex,
    ],
    ['that it is forbidden', 403, '{}', 'application/json'],
  ])('are told by the tag where the API answers with %s', async (_, status, body, type) => {
    at.fake.putManifest(repository, indexOf(...digests), tagOf(subject))
    answerReferrers(status, body, type)
    expect(await at.upstream.listReferrers(repository, subject)).toEqual(digests)
  })

  it('are none where an image stands under the tag', async () => {
    at.fake.putManifest(repository, { ...indexOf(), mediaType: mediaTypes.ociIndex, subject: null }, 'other')
    const config = { mediaType: mediaTypes.ociEmpty, digest: subject, size: 2 }
    at.fake.putManifest(repository, { schemaVersion: 2, config, layers: [] }, tagOf(subject))
    expect(await at.upstream.listReferrers(repository, subject)).toEqual([])
  })

  it('are unknown, not none, while the upstream fails', async () => {
    answerReferrers(500, '{}', 'application/json')
    expect((await failureOf(at.upstream.listReferrers(repository, subject))).code).toBe(
      'UPSTREAM_UNAVAILABLE',
    )
  })
})
