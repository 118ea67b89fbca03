/**
 * The cases of the distribution-spec's own conformance suite (its folder `conformance`, with every option of its version
 * "1.1+dev" on), in our words: pings, uploads of every kind for both algorithms, ranges, and sets of content that are pushed,
 * listed, asked for, pulled and deleted.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Digest, digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import {
  accept,
  ask as askOf,
  begin,
  blobAt,
  locationOf,
  manifestAt,
  octets,
  other,
  postThenPut,
  repository,
  type Uploaded,
  uploads,
  withDigest,
} from './conformance-client.ts'
import {
  type Algorithm,
  type Descriptor,
  makeSets,
  type TestManifest,
  type TestSet,
} from './conformance-data.ts'
import { type Answer, type Api, type CallOptions, openApi } from './harness.ts'

let api: Api
beforeAll(async () => {
  api = await openApi({ sparse: 'all' })
})
afterAll(() => api[Symbol.asyncDispose]())

const ask = (status: number, method: string, path: string, options?: CallOptions) =>
  askOf(api, status, method, path, options)

/** What every finished upload says, and that it is true. */
async function expectBlob(created: Answer, { digest, bytes }: Uploaded): Promise<void> {
  expect(created.headers['docker-content-digest']).toBe(digest)
  expect((await ask(200, 'GET', locationOf(created))).body.equals(bytes)).toBe(true)
}

/** Deletes it, and sees at once that it is gone. */
async function removeBlob(digest: Digest, name = repository): Promise<void> {
  await ask(202, 'DELETE', blobAt(digest, name))
  await ask(404, 'HEAD', blobAt(digest, name))
}

async function expectPulled({ digest, bytes }: Uploaded): Promise<void> {
  const head = await ask(200, 'HEAD', blobAt(digest))
  const got = await ask(200, 'GET', blobAt(digest))
  expect([head.body.length, got.body.equals(bytes)]).toEqual([0, true])
  for (const { headers } of [head, got])
    expect(headers).toMatchObject({ 'content-length': String(bytes.length), 'docker-content-digest': digest })
}

describe('a registry', () => {
  it('answers to a ping', () => ask(200, 'GET', '/v2/'))

  it('has a tag list, or none, of a repository that nothing was pushed to', async () => {
    expect([200, 404]).toContain((await api.call('GET', `/v2/conformance/unknown/tags/list`)).status)
  })

  it('has an empty list of referrers for a digest that it never saw', async () => {
    expect(await referrersOf(digestBytes(randomBytes(8)))).toEqual([])
  })

  it('has no manifest of a digest or a tag that nobody pushed', async () => {
    await ask(404, 'GET', manifestAt(digestBytes(randomBytes(8))), { headers: accept })
    await ask(404, 'GET', manifestAt('missing-tag'), { headers: accept })
  })

  it('takes and gives no manifest by what is not a digest', async () => {
    const headers = { 'Content-Type': mediaTypes.ociManifest }
    const image = await api.pushImage(repository, 'well-formed')
    await ask(400, 'PUT', manifestAt('sha256:baddigeststring'), { body: image.bytes, headers })
    await ask(400, 'GET', manifestAt('sha256:baddigeststring'), { headers: accept })
  })

  it('takes no manifest by the digest of other bytes', async () => {
    const { bytes, digest } = await api.pushImage(repository, 'exact')
    await ask(202, 'DELETE', manifestAt(digest))
    const headers = { 'Content-Type': mediaTypes.ociManifest }
    await ask(400, 'PUT', manifestAt(digest), { body: `${bytes}  `, headers })
    await ask(404, 'HEAD', manifestAt(digest), { headers: accept })
  })
})

describe.each<Algorithm>(['sha256', 'sha512'])('a blob of %s', (algorithm) => {
  const of = (bytes: Buffer): Uploaded => ({ bytes, digest: digestBytes(bytes, algorithm) })
  const make = (size = 3067) => of(randomBytes(size))

  it('that nobody pushed is not there', () => ask(404, 'GET', blobAt(make().digest)))

  it.each(uploads)('comes by %s, is pulled and deleted', async (_, upload) => {
    const blob = make()
    await expectBlob(await upload(api, blob, 201), blob)
    await expectPulled(blob)
    await removeBlob(blob.digest)
  })

  it.each(uploads)('is refused by %s where its bytes are others', async (_, upload) => {
    const { digest, bytes } = make()
    await upload(api, { digest, bytes: Buffer.concat([bytes, Buffer.from('oh no')]) }, 400)
    await ask(404, 'HEAD', blobAt(digest))
  })

  it.each([`&from=${other}`, ''])('is mounted with “?mount=DIGEST%s”', async (from) => {
    const blob = make()
    await postThenPut(api, { ...blob, name: other }, 201)
    const created = await ask(201, 'POST', `/v2/${repository}/blobs/uploads/?mount=${blob.digest}${from}`)
    await expectBlob(created, blob)
    await expectPulled(blob)
    await removeBlob(blob.digest)
    await removeBlob(blob.digest, other)
  })

  it('that cannot be mounted is uploaded instead', async () => {
    const blob = make()
    const { digest, bytes: body } = blob
    const begun = await ask(202, 'POST', `/v2/${repository}/blobs/uploads/?mount=${digest}&from=${other}`)
    await expectBlob(
      await ask(201, 'PUT', withDigest(locationOf(begun), digest), { body, headers: octets }),
      blob,
    )
    await removeBlob(digest)
  })

  it('is not there where its upload was cancelled', async () => {
    const location = await begin(api)
    await ask(204, 'DELETE', location)
    await ask(404, 'GET', location)
  })

  it.each(['', '{}'])('may be “%s”', async (text) => {
    const blob = of(Buffer.from(text))
    await expectBlob(await postThenPut(api, blob, 201), blob)
    await expectPulled(blob)
    await removeBlob(blob.digest)
  })

  it.each([
    ['500-1499', 500, 1500],
    ['500-', 500, 2048],
    ['-500', 1548, 2048],
    ['2000-5000', 2000, 2048],
  ])('is read by the range %s', async (range, start, end) => {
    const { bytes, digest } = make(2048)
    await postThenPut(api, { bytes, digest }, 201)
    const answer = await ask(206, 'GET', blobAt(digest), { headers: { Range: `bytes=${range}` } })
    expect(answer.headers).toMatchObject({
      'content-length': String(end - start),
      'content-range': `bytes ${start}-${end - 1}/2048`,
    })
    expect(answer.body.equals(bytes.subarray(start, end))).toBe(true)
  })

  it.each(['500-0', '5000-10000'])('has nothing in the range %s', async (range) => {
    const blob = make(2048)
    await postThenPut(api, blob, 201)
    const answer = await ask(416, 'GET', blobAt(blob.digest), { headers: { Range: `bytes=${range}` } })
    expect(answer.headers['content-range']).toBe('bytes */2048')
  })
})

async function referrersOf(subject: Digest, artifactType?: string): Promise<Descriptor[]> {
  const query = artifactType === undefined ? '' : `?artifactType=${encodeURIComponent(artifactType)}`
  const answer = await ask(200, 'GET', `/v2/${repository}/referrers/${subject}${query}`)
  expect(answer.headers['content-type']).toBe(mediaTypes.ociIndex)
  expect(answer.headers['oci-filters-applied']).toBe(artifactType === undefined ? undefined : 'artifactType')
  const { manifests, ...rest } = answer.json() as { manifests: Descriptor[] }
  expect(rest).toEqual({ schemaVersion: 2, mediaType: mediaTypes.ociIndex })
  return manifests
}

async function pushManifest(path: string, { bytes, mediaType, digest, subject }: TestManifest) {
  const created = await ask(201, 'PUT', path, { body: bytes, headers: { 'Content-Type': mediaType } })
  expect(created.headers['docker-content-digest']).toBe(digest)
  expect(created.headers['oci-subject']).toBe(subject)
  expect((await ask(200, 'GET', locationOf(created), { headers: accept })).body.equals(bytes)).toBe(true)
  return created
}

/** Of a set: each step goes on from the one before. */
describe.each(makeSets().map((set) => [set.name, set] as const))('%s', (_, set: TestSet) => {
  const find = (digest: Digest) =>
    set.manifests.find((each) => each.digest === digest) ?? expect.fail('a tag names a manifest of its set')
  const references = () => [
    ...set.manifests.map((manifest) => [manifest.digest, manifest] as const),
    ...[...set.tags].map(([tag, digest]) => [tag, find(digest)] as const),
  ]

  it('is pushed by digest and by tag', async () => {
    let next = 0
    for (const [digest, bytes] of set.blobs) {
      const [, upload] = uploads[next++ % uploads.length] ?? expect.fail('there are ways to upload')
      await upload(api, { digest, bytes }, 201)
    }
    for (const manifest of set.manifests) {
      const tags = [...set.tags].flatMap(([tag, digest]) => (digest === manifest.digest ? [tag] : []))
      const asked = set.hasTagQuery ? tags : []
      const query = asked.length === 0 ? '' : `?${asked.map((tag) => `tag=${tag}`).join('&')}`
      const { headers } = await pushManifest(manifestAt(manifest.digest) + query, manifest)
      expect(headers['oci-tag']).toBe(asked.length === 0 ? undefined : asked.join(', '))
      if (!set.hasTagQuery) for (const tag of tags) await pushManifest(manifestAt(tag), manifest)
    }
  })

  it('has its tags listed, also from one of them on', async () => {
    const list = async (query = '') => {
      const answer = await api.call('GET', `/v2/${repository}/tags/list${query}`)
      return answer.status === 404 ? [] : (answer.json() as { tags: string[] }).tags
    }
    const tags = await list()
    expect(tags).toEqual(expect.arrayContaining([...set.tags.keys()]))
    expect(tags).toEqual(tags.toSorted())
    const half = Math.floor(tags.length / 2)
    if (half > 0) expect(await list(`?last=${tags[half - 1]}`)).toEqual(tags.slice(half))
  })

  it.each(['HEAD', 'GET'])('is there for %s', async (method) => {
    for (const [reference, { bytes, digest, mediaType }] of references()) {
      const answer = await ask(200, method, manifestAt(reference), { headers: accept })
      expect(answer.headers).toMatchObject({
        'content-type': mediaType,
        'content-length': String(bytes.length),
        'docker-content-digest': digest,
      })
      expect(answer.body.equals(method === 'GET' ? bytes : Buffer.alloc(0))).toBe(true)
    }
    for (const [digest, bytes] of set.blobs) await expectPulled({ digest, bytes })
  })

  it('is listed with what it is about, and by its type alone', async () => {
    for (const [subject, expected] of set.referrers) {
      const sorted = (list: Descriptor[]) => list.toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
      expect(await referrersOf(subject)).toEqual(sorted(expected))
      for (const { artifactType } of expected) {
        const ofType = expected.filter((each) => each.artifactType === artifactType)
        expect(await referrersOf(subject, artifactType)).toEqual(sorted(ofType))
      }
    }
  })

  it('is deleted, and gone at once', async () => {
    for (const reference of [...set.tags.keys(), ...set.manifests.map(({ digest }) => digest).toReversed()]) {
      await ask(202, 'DELETE', manifestAt(reference))
      await ask(404, 'HEAD', manifestAt(reference), { headers: accept })
    }
    for (const digest of set.blobs.keys()) await removeBlob(digest)
    for (const subject of set.referrers.keys()) expect(await referrersOf(subject)).toEqual([])
  })
})
