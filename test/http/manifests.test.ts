import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import { type Api, codesOf, openApi } from './harness.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const put = (path: string, body: string | Uint8Array, type: string = mediaTypes.ociManifest) =>
  api.call('PUT', `/v2/${path}`, { body, headers: { 'Content-Type': type } })

describe('a manifest', () => {
  it('comes back verbatim by tag and by digest, its type without a charset', async () => {
    const { digest, bytes } = await api.pushImage('team/app', 'v1')
    for (const reference of ['v1', digest]) {
      for (const method of ['GET', 'HEAD']) {
        const headers = { Accept: [mediaTypes.dockerManifest, `${mediaTypes.ociIndex}, */*`] }
        const answer = await api.call(method, `/v2/team/app/manifests/${reference}`, { headers })
        expect(answer.status).toBe(200)
        expect(answer.headers).toMatchObject({
          'content-type': mediaTypes.ociManifest,
          'content-length': String(bytes.length),
          'docker-content-digest': digest,
          'docker-distribution-api-version': 'registry/2.0',
        })
        expect(answer.body.equals(method === 'GET' ? bytes : Buffer.alloc(0))).toBe(true)
      }
    }
  })

  it('keeps its white space and its order of keys', async () => {
    const { config } = await api.pushImage('team/verbatim', 'v1')
    const body = `{ "layers" :[],\n"config": {"size":2,"digest":"${config}","mediaType":"a/b"},"schemaVersion":2 }\n`
    expect((await put('team/verbatim/manifests/odd', body)).status).toBe(201)
    expect((await api.call('GET', '/v2/team/verbatim/manifests/odd')).body.toString()).toBe(body)
  })

  it('may be of a type that nobody knows', async () => {
    expect(
      (await put('team/any/manifests/v1', '{"any":1}', 'application/vnd.example.thing+json')).status,
    ).toBe(201)
    const answer = await api.call('GET', '/v2/team/any/manifests/v1')
    expect(answer.headers['content-type']).toBe('application/vnd.example.thing+json')
  })

  it('comes whole to who asks for a range of it, and says that it has none', async () => {
    const { bytes } = await api.pushImage('team/app', 'v1')
    for (const method of ['GET', 'HEAD']) {
      const answer = await api.call(method, '/v2/team/app/manifests/v1', { headers: { Range: 'bytes=0-' } })
      expect([answer.status, answer.headers['accept-ranges']]).toEqual([200, 'none'])
      expect(answer.headers['content-length']).toBe(String(bytes.length))
      expect(answer.body.equals(method === 'GET' ? bytes : Buffer.alloc(0))).toBe(true)
    }
  })

  it('is 304 to whoever has it', async () => {
    const { digest } = await api.pushImage('team/app', 'v1')
    const headers = { 'If-None-Match': `"${digest}"` }
    expect((await api.call('GET', '/v2/team/app/manifests/v1', { headers })).status).toBe(304)
  })

  it('moves its tag, and lets the tag change its media type', async () => {
    const first = await api.pushImage('team/moves', 'latest', { layers: ['one'] })
    const second = await api.pushImage('team/moves', 'latest', { layers: ['two'] })
    expect((await api.call('GET', '/v2/team/moves/manifests/latest')).headers['docker-content-digest']).toBe(
      second.digest,
    )
    const manifests = [{ mediaType: mediaTypes.ociManifest, digest: first.digest, size: first.bytes.length }]
    const index = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests })
    expect((await put('team/moves/manifests/latest', index, mediaTypes.ociIndex)).status).toBe(201)
    const answer = await api.call('GET', '/v2/team/moves/manifests/latest')
    expect([answer.headers['content-type'], answer.body.toString()]).toEqual([mediaTypes.ociIndex, index])
  })

  it('is tagged by the request that pushes it by digest', async () => {
    const { bytes, digest } = await api.pushImage('team/tags', 'first')
    const answer = await put(`team/tags/manifests/${digest}?tag=a&tag=b`, bytes)
    expect([answer.status, answer.headers['oci-tag']]).toEqual([201, 'a, b'])
    for (const tag of ['a', 'b']) {
      expect(
        (await api.call('HEAD', `/v2/team/tags/manifests/${tag}`)).headers['docker-content-digest'],
      ).toBe(digest)
    }
  })

  it('takes sha512 digests in its path', async () => {
    const { bytes } = await api.pushImage('team/sha512', 'v1')
    const digest = digestBytes(bytes, 'sha512')
    expect((await put(`team/sha512/manifests/${digest}`, bytes)).headers['docker-content-digest']).toBe(
      digest,
    )
    expect((await api.call('GET', `/v2/team/sha512/manifests/${digest}`)).body.equals(bytes)).toBe(true)
  })

  it('is refused while it refers to what its repository does not hold', async () => {
    const missing = digestBytes(randomBytes(4))
    const elsewhere = await api.pushBlob('team/elsewhere', 'held by another repository')
    for (const digest of [missing, elsewhere]) {
      const config = { mediaType: 'a/b', digest, size: 2 }
      const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [] })
      const answer = await put('team/sparse/manifests/v1', body)
      expect([answer.status, codesOf(answer)]).toEqual([404, ['MANIFEST_BLOB_UNKNOWN']])
      expect(answer.body.toString()).toContain(digest)
      expect((await api.call('GET', '/v2/team/sparse/manifests/v1')).status).toBe(404)
      expect((await api.call('GET', '/v2/team/sparse/tags/list')).status).toBe(404)
    }
  })

  it('may lack layers that must not be distributed', async () => {
    const config = {
      mediaType: 'application/vnd.docker.container.image.v1+json',
      digest: await api.pushBlob('team/foreign', '{}'),
      size: 2,
    }
    const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
    const layers = [
      { mediaType, digest: digestBytes(randomBytes(4)), size: 4, urls: ['https://example.com/layer'] },
    ]
    const body = JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config, layers })
    expect((await put('team/foreign/manifests/v1', body, mediaTypes.dockerManifest)).status).toBe(201)
  })

  it('is refused when it does not hash to the digest in its path', async () => {
    const { bytes } = await api.pushImage('team/app', 'v1')
    const answer = await put(`team/app/manifests/${digestBytes(randomBytes(4))}`, bytes)
    expect([answer.status, codesOf(answer)]).toEqual([400, ['DIGEST_INVALID']])
  })

  it('is refused beyond 4 MiB, and accepted at 4 MiB', async () => {
    const pad = (length: number) => `{"a":"${'x'.repeat(length - 8)}"}`
    const most = 4 * 1024 * 1024
    expect((await put('team/large/manifests/v1', pad(most), 'application/vnd.example+json')).status).toBe(201)
    for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
      const answer = await api.call('PUT', '/v2/team/large/manifests/v2', { body: pad(most + 1), headers })
      expect([answer.status, codesOf(answer)]).toEqual([413, ['SIZE_INVALID']])
    }
  })

  it.each([
    ['both manifests and layers', { schemaVersion: 2, manifests: [], layers: [] }, mediaTypes.ociManifest],
    [
      'another mediaType than its Content-Type',
      { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] },
      mediaTypes.ociManifest,
    ],
  ])('is refused with %s', async (_what, body, type) => {
    const answer = await put('team/bad/manifests/v1', JSON.stringify(body), type)
    expect([answer.status, codesOf(answer)]).toEqual([400, ['MANIFEST_INVALID']])
    expect((await api.call('GET', '/v2/team/bad/tags/list')).status).toBe(404)
  })

  it('of schema 1 is refused in words', async () => {
    const answer = await put('team/old/manifests/v1', '{"schemaVersion":1}', mediaTypes.dockerSchema1Signed)
    expect([answer.status, codesOf(answer)]).toEqual([405, ['UNSUPPORTED']])
    expect(answer.body.toString()).toContain('schema 1')
  })

  it('is refused when its indexes nest into a bomb', async () => {
    const { digest, bytes } = await api.pushImage('team/bomb', 'leaf')
    let child = { mediaType: mediaTypes.ociManifest as string, digest, size: bytes.length }
    const statuses: number[] = []
    for (let depth = 1; depth <= 5; depth++) {
      const body = Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [child] }),
      )
      statuses.push((await put(`team/bomb/manifests/depth-${depth}`, body, mediaTypes.ociIndex)).status)
      child = { mediaType: mediaTypes.ociIndex, digest: digestBytes(body), size: body.length }
    }
    expect(statuses).toEqual([201, 201, 201, 201, 400])
  })

  it('is refused when a few bytes of it have many read', async () => {
    const index = (manifests: object[], fill = ''): Buffer =>
      Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: mediaTypes.ociIndex,
          manifests,
          annotations: { fill },
        }),
      )
    const children: object[] = []
    const statuses: number[] = []
    for (let child = 0; child < 3; child++) {
      const body = index([], String(child).repeat(1.9 * 1024 * 1024))
      await put(`team/heavy/manifests/child-${child}`, body, mediaTypes.ociIndex)
      children.push({ mediaType: mediaTypes.ociIndex, digest: digestBytes(body), size: body.length })
      statuses.push((await put('team/heavy/manifests/all', index(children), mediaTypes.ociIndex)).status)
    }
    expect(statuses).toEqual([201, 201, 400])
  })
})

describe('deletion', () => {
  it('by tag keeps the manifest, by digest drops its tags', async () => {
    const { digest } = await api.pushImage('delete/app', 'a')
    await api.pushImage('delete/app', 'b')
    expect((await api.call('DELETE', '/v2/delete/app/manifests/a')).status).toBe(202)
    expect((await api.call('GET', '/v2/delete/app/manifests/a')).status).toBe(404)
    expect((await api.call('GET', `/v2/delete/app/manifests/${digest}`)).status).toBe(200)
    expect((await api.call('DELETE', `/v2/delete/app/manifests/${digest}`)).status).toBe(202)
    for (const reference of ['b', digest]) {
      const answer = await api.call('GET', `/v2/delete/app/manifests/${reference}`)
      expect([answer.status, codesOf(answer)]).toEqual([404, ['MANIFEST_UNKNOWN']])
    }
    expect((await api.call('DELETE', `/v2/delete/app/manifests/${digest}`)).status).toBe(404)
  })

  it('leaves the same manifest of another repository alone', async () => {
    const { digest } = await api.pushImage('delete/one', 'v1')
    await api.pushImage('delete/two', 'v1')
    await api.call('DELETE', `/v2/delete/one/manifests/${digest}`)
    expect((await api.call('GET', '/v2/delete/two/manifests/v1')).status).toBe(200)
  })

  it('can be followed by the same push', async () => {
    const { digest } = await api.pushImage('delete/again', 'v1')
    await api.call('DELETE', `/v2/delete/again/manifests/${digest}`)
    await api.pushImage('delete/again', 'v1')
    expect((await api.call('GET', '/v2/delete/again/manifests/v1')).status).toBe(200)
  })

  it('is refused where it is turned off, by tag and by digest and for blobs', async () => {
    await using fixed = await openApi({ allowDelete: false })
    const { digest, config } = await fixed.pushImage('team/app', 'v1')
    for (const path of ['manifests/v1', `manifests/${digest}`, `blobs/${config}`]) {
      const answer = await fixed.call('DELETE', `/v2/team/app/${path}`)
      expect([path, answer.status, codesOf(answer)]).toEqual([path, 405, ['UNSUPPORTED']])
    }
    expect((await fixed.call('GET', '/v2/team/app/manifests/v1')).status).toBe(200)
  })
})
