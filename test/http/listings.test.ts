import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import { type Api, codesOf, openApi } from './harness.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
  for (const tag of ['c', 'a', 'B', 'b', '0']) await api.pushImage('list/app', tag)
  for (const repository of ['list/zebra', 'list/b', 'other/list-b']) await api.pushImage(repository, 'v1')
})
afterAll(() => api[Symbol.asyncDispose]())

const tags = async (query: string) => (await api.call('GET', `/v2/list/app/tags/list${query}`)).json()

describe('the tag list', () => {
  it('is sorted by bytes', async () => {
    expect(await tags('')).toEqual({ name: 'list/app', tags: ['0', 'B', 'a', 'b', 'c'] })
  })

  it('pages by an exclusive last, with a link to the next page and none on the last one', async () => {
    const first = await api.call('GET', '/v2/list/app/tags/list?n=2')
    expect(first.json()).toMatchObject({ tags: ['0', 'B'] })
    expect(first.headers.link).toBe('</v2/list/app/tags/list?n=2&last=B>; rel="next"')
    expect(await tags('?n=2&last=B')).toMatchObject({ tags: ['a', 'b'] })
    const last = await api.call('GET', '/v2/list/app/tags/list?n=3&last=B')
    expect(last.json()).toMatchObject({ tags: ['a', 'b', 'c'] })
    expect(last.headers.link).toBeUndefined()
    expect(await tags('?last=zzz')).toMatchObject({ tags: [] })
    expect(await tags('?last=aa')).toMatchObject({ tags: ['b', 'c'] })
  })

  it('is empty for n=0 and clamps a huge n', async () => {
    expect(await tags('?n=0')).toMatchObject({ tags: [] })
    expect(await tags('?n=99999999999999999999')).toMatchObject({ tags: ['0', 'B', 'a', 'b', 'c'] })
  })

  it.each(['-1', 'x', '1e3', '1.5'])('refuses n=%s', async (n) => {
    const answer = await api.call('GET', `/v2/list/app/tags/list?n=${n}`)
    expect([answer.status, codesOf(answer)]).toEqual([400, ['PAGINATION_NUMBER_INVALID']])
  })

  it('of an unknown repository is NAME_UNKNOWN', async () => {
    const answer = await api.call('GET', '/v2/list/nothing/tags/list')
    expect([answer.status, codesOf(answer)]).toEqual([404, ['NAME_UNKNOWN']])
  })
})

describe('the catalog', () => {
  it('lists and pages the repositories', async () => {
    const all = await api.call('GET', '/v2/_catalog')
    expect(all.json()).toEqual({ repositories: ['list/app', 'list/b', 'list/zebra', 'other/list-b'] })
    const page = await api.call('GET', '/v2/_catalog?n=1&last=list/app')
    expect(page.json()).toEqual({ repositories: ['list/b'] })
    expect(page.headers.link).toBe('</v2/_catalog?n=1&last=list%2Fb>; rel="next"')
  })

  it('loses a repository with its last manifest', async () => {
    const { digest } = await api.pushImage('list/gone', 'v1')
    await api.call('DELETE', `/v2/list/gone/manifests/${digest}`)
    expect(JSON.stringify((await api.call('GET', '/v2/_catalog')).json())).not.toContain('list/gone')
  })
})

describe('docker search', () => {
  it('finds repositories by a word in their name', async () => {
    expect((await api.call('GET', '/v1/_ping')).status).toBe(200)
    const answer = (await api.call('GET', '/v1/search?q=b&n=2')).json()
    expect(answer).toMatchObject({
      num_results: 2,
      query: 'b',
      results: [{ name: 'list/b' }, { name: 'list/zebra' }],
    })
  })
})

describe('referrers', () => {
  const referrers = async (repository: string, subject: string, query = '') => {
    const answer = await api.call('GET', `/v2/${repository}/referrers/${subject}${query}`)
    expect([answer.status, answer.headers['content-type']]).toEqual([200, mediaTypes.ociIndex])
    const body = answer.json() as {
      schemaVersion: number
      mediaType: string
      manifests: Record<string, unknown>[]
    }
    expect(body).toMatchObject({ schemaVersion: 2, mediaType: mediaTypes.ociIndex })
    return { filters: answer.headers['oci-filters-applied'], manifests: body.manifests }
  }

  it('are an empty index for an unknown subject and an unknown repository', async () => {
    const unknown = digestBytes(Buffer.from('unknown'))
    expect((await referrers('list/app', unknown)).manifests).toEqual([])
    expect((await referrers('list/nothing', unknown)).manifests).toEqual([])
  })

  it('carry type, size and annotations, and are filtered by artifactType', async () => {
    const subjectImage = await api.pushImage('list/signed', 'v1')
    const subject = {
      mediaType: mediaTypes.ociManifest,
      digest: subjectImage.digest,
      size: subjectImage.bytes.length,
    }
    const annotations = { 'org.example.key': 'value' }
    const sbom = await api.pushImage('list/signed', '', {
      extra: { subject, artifactType: 'application/spdx+json', annotations },
    })
    const plain = await api.pushImage('list/signed', '', { extra: { subject } })
    const all = await referrers('list/signed', subject.digest)
    expect(all.filters).toBeUndefined()
    expect(all.manifests).toHaveLength(2)
    expect(all.manifests).toContainEqual({
      mediaType: mediaTypes.ociManifest,
      digest: sbom.digest,
      size: sbom.bytes.length,
      artifactType: 'application/spdx+json',
      annotations,
    })
    expect(all.manifests).toContainEqual(
      expect.objectContaining({
        digest: plain.digest,
        artifactType: 'application/vnd.oci.image.config.v1+json',
      }),
    )
    const filtered = await referrers('list/signed', subject.digest, '?artifactType=application/spdx%2Bjson')
    expect(filtered.filters).toBe('artifactType')
    expect(filtered.manifests.map(({ digest }) => digest)).toEqual([sbom.digest])
    await api.call('DELETE', `/v2/list/signed/manifests/${sbom.digest}`)
    expect((await referrers('list/signed', subject.digest)).manifests.map(({ digest }) => digest)).toEqual([
      plain.digest,
    ])
  })

  it('are accepted for a subject that is not here yet, which the answer names', async () => {
    const subject = { mediaType: mediaTypes.ociManifest, digest: digestBytes(Buffer.from('later')), size: 5 }
    const config = { mediaType: mediaTypes.ociEmpty, digest: await api.pushBlob('list/early', '{}'), size: 2 }
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers: [],
      subject,
      artifactType: 'a/b',
    }
    const headers = { 'Content-Type': mediaTypes.ociManifest }
    const answer = await api.call('PUT', '/v2/list/early/manifests/sig', {
      body: JSON.stringify(manifest),
      headers,
    })
    expect([answer.status, answer.headers['oci-subject']]).toEqual([201, subject.digest])
    expect((await referrers('list/early', subject.digest)).manifests).toHaveLength(1)
  })

  it('come in pages that hold them all', async () => {
    const subject = {
      mediaType: mediaTypes.ociManifest,
      digest: digestBytes(Buffer.from('popular')),
      size: 5,
    }
    const config = { mediaType: mediaTypes.ociEmpty, digest: await api.pushBlob('list/many', '{}'), size: 2 }
    const pushed: string[] = []
    for (let index = 0; index < 80; index++) {
      const annotations = { index: String(index), pad: 'x'.repeat(31_000) }
      const manifest = {
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config,
        layers: [],
        subject,
        annotations,
      }
      const body = Buffer.from(JSON.stringify(manifest))
      const headers = { 'Content-Type': mediaTypes.ociManifest }
      expect(
        (await api.call('PUT', `/v2/list/many/manifests/${digestBytes(body)}`, { body, headers })).status,
      ).toBe(201)
      pushed.push(digestBytes(body))
    }
    const listed: string[] = []
    let next: string | undefined = `/v2/list/many/referrers/${subject.digest}`
    while (next !== undefined) {
      const answer = await api.call('GET', next)
      expect(answer.body.length).toBeLessThan(4 * 1024 * 1024)
      listed.push(
        ...(answer.json() as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest),
      )
      next = /^<(.*)>; rel="next"$/.exec(String(answer.headers.link))?.[1]
    }
    expect(listed).toEqual(pushed.sort())
  })
})
