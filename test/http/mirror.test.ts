import { describe, expect, it } from 'vitest'
import { digestBytes } from '../../src/oci/oci.ts'
import type { Elsewhere } from '../../src/registry/registry.ts'
import { openMirrorAlone } from '../mirror/alone.ts'
import { FakeUpstream } from '../mirror/fake-upstream.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import { codesOf, openApi } from './harness.ts'

const name = 'docker.io/library/alpine'
/** Each way in which clients name the same repository. */
const ways: [string, string, string][] = [
  ['its prefix', `/v2/${name}`, ''],
  ['its prefix without library/', '/v2/docker.io/alpine', ''],
  ['ns', '/v2/library/alpine', 'ns=docker.io'],
  ['ns and its prefix', `/v2/${name}`, 'ns=docker.io'],
  ['no registry', '/v2/library/alpine', ''],
  ['one word', '/v2/alpine', ''],
]

async function openMirrored(
  opened: AsyncDisposableStack,
  { bareNames = true, elsewhere = {} }: { bareNames?: boolean; elsewhere?: Partial<Elsewhere> } = {},
) {
  const hub = new FakeUpstream('docker.io')
  const quay = new FakeUpstream('quay.io')
  const digest = hub.push('library/alpine', '3', 'first')
  const clock = new SteppedClock()
  const api = opened.use(
    await openApi({
      clock,
      elsewhere,
      mirror: (parts) => openMirrorAlone({ ...parts, upstreams: [hub, quay], bareNames, clock }),
    }),
  )
  return { hub, quay, digest, api, clock }
}

function digestsIn(answer: { json(): unknown }): string[] {
  return (answer.json() as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest)
}

describe('a mirrored name', () => {
  it.each(ways)('is pulled by %s', async (_, path, query) => {
    await using opened = new AsyncDisposableStack()
    const { api, digest, hub } = await openMirrored(opened)
    for (const method of ['HEAD', 'GET']) {
      for (const reference of ['3', digest]) {
        const answer = await api.call(method, `${path}/manifests/${reference}?${query}`)
        expect([answer.status, answer.headers['docker-content-digest']]).toEqual([200, digest])
        expect(answer.headers.warning).toBeUndefined()
      }
    }
    expect(hub.asked).toEqual(['GET library/alpine:3'])
  })

  it.each(ways)('is listed by %s', async (_, path, query) => {
    await using opened = new AsyncDisposableStack()
    const { api, digest, hub } = await openMirrored(opened)
    hub.push('library/alpine', '4', 'other')
    const subject = { mediaType: 'a/b', digest, size: 3 }
    const note = hub.push('library/alpine', 'note', 'a note', { subject, artifactType: 'a/note' })
    for (const tag of ['3', '4', 'note']) await api.call('GET', `/v2/${name}/manifests/${tag}`)
    const first = await api.call('GET', `${path}/tags/list?n=2&${query}`)
    expect(first.json()).toEqual({ name, tags: ['3', '4'] })
    const [, next] = /^<(.+)>; rel="next"$/.exec(String(first.headers.link)) ?? []
    expect((await api.call('GET', next ?? '')).json()).toEqual({ name, tags: ['note'] })
    const referrers = await api.call('GET', `${path}/referrers/${digest}?${query}`)
    expect(referrers.json()).toMatchObject({ manifests: [{ digest: note, artifactType: 'a/note' }] })
    expect((await api.call('GET', '/v2/_catalog')).json()).toEqual({ repositories: [name] })
  })

  it.each(ways.slice(0, 4))('cannot be pushed to by %s', async (_, path, query) => {
    await using opened = new AsyncDisposableStack()
    const { api, hub } = await openMirrored(opened)
    const own = await api.pushBlob('team/app', 'a layer')
    const digest = digestBytes(Buffer.from('x'))
    const requests: [string, string, string?][] = [
      ['POST', `${path}/blobs/uploads/?${query}`],
      ['POST', `${path}/blobs/uploads/?digest=${digest}&${query}`, 'x'],
      ['POST', `${path}/blobs/uploads/?mount=${own}&from=team/app&${query}`],
      ['POST', `${path}/blobs/uploads/?mount=${own}&${query}`],
      ['PATCH', `${path}/blobs/uploads/some-id?${query}`, 'x'],
      ['PUT', `${path}/blobs/uploads/some-id?digest=${digest}&${query}`, 'x'],
      ['GET', `${path}/blobs/uploads/some-id?${query}`],
      ['DELETE', `${path}/blobs/uploads/some-id?${query}`],
      ['PUT', `${path}/manifests/3?${query}`, '{}'],
    ]
    for (const [method, target, body] of requests) {
      const answer = await api.call(method, target, body === undefined ? {} : { body })
      expect([method, target, answer.status, codesOf(answer)]).toEqual([method, target, 403, ['DENIED']])
      expect(answer.body.toString()).toContain('mirrors docker.io')
    }
    expect(hub.asked).toEqual([])
    expect((await api.call('GET', '/v2/_catalog')).json()).toEqual({ repositories: [] })
  })

  it('can be forgotten by the operator, and is fetched anew', async () => {
    await using opened = new AsyncDisposableStack()
    const { api, hub, digest } = await openMirrored(opened)
    const get = () => api.call('GET', `/v2/${name}/manifests/3`)
    for (const reference of ['3', digest]) {
      expect((await get()).status).toBe(200)
      expect((await api.call('DELETE', `/v2/${name}/manifests/${reference}`)).status).toBe(202)
      expect((await api.call('GET', `/v2/${name}/tags/list`)).body.toString()).not.toContain('"3"')
    }
    expect((await get()).headers['docker-content-digest']).toBe(digest)
    expect(hub.asked).toEqual(Array(3).fill('GET library/alpine:3'))
  })

  it('says that it is stale, and since when it was not checked', async () => {
    await using opened = new AsyncDisposableStack()
    const { api, hub, clock, digest } = await openMirrored(opened)
    const get = (method = 'GET') => api.call(method, `/v2/${name}/manifests/3`)
    await get()
    const checked = new Date(clock.now()).toISOString()
    clock.advance(300_000)
    hub.weather = 'cut'
    const first = await get()
    expect([first.status, first.headers['docker-content-digest']]).toEqual([200, digest])
    expect(first.headers.warning).toBe(
      `111 shoal "Revalidation Failed: docker.io does not answer; checked ${checked}"`,
    )
    clock.advance(2_000)
    const second = await get('HEAD')
    expect(second.headers.warning).toBe(
      `110 shoal "Response is Stale: docker.io cannot be reached; checked ${checked}"`,
    )
  })

  it('lists what refers to it as its upstream does, and says when that is stale', async () => {
    await using opened = new AsyncDisposableStack()
    const { api, hub, clock, digest } = await openMirrored(opened)
    const signature = hub.refer('library/alpine', digest, 'a/signature')
    const sbom = hub.refer('library/alpine', digest, 'a/sbom')
    for (const [path, query] of ways.slice(0, 4).map(([, path, query]) => [path, query])) {
      const all = await api.call('GET', `${path}/referrers/${digest}?${query}`)
      expect(all.status).toBe(200)
      expect(digestsIn(all)).toEqual([signature, sbom].sort())
      expect(all.headers['oci-filters-applied']).toBeUndefined()
      const some = await api.call('GET', `${path}/referrers/${digest}?artifactType=a/sbom&${query}`)
      expect(digestsIn(some)).toEqual([sbom])
      expect(some.headers['oci-filters-applied']).toBe('artifactType')
    }
    expect(hub.asked.filter((request) => request.startsWith('REFERRERS'))).toHaveLength(1)
    for (const name of [signature, sbom])
      expect((await api.call('GET', `/v2/library/alpine/manifests/${name}?ns=docker.io`)).status).toBe(200)
    const checked = new Date(clock.now()).toISOString()
    clock.advance(300_000)
    hub.weather = 'cut'
    const stale = await api.call('GET', `/v2/${name}/referrers/${digest}`)
    expect(digestsIn(stale)).toEqual([signature, sbom].sort())
    expect(stale.headers.warning).toBe(
      `111 shoal "Revalidation Failed: docker.io does not answer; checked ${checked}"`,
    )
    const unknown = await api.call('GET', `/v2/${name}/referrers/${digestBytes(Buffer.from('x'))}`)
    expect([unknown.status, codesOf(unknown)]).toEqual([503, ['UNAVAILABLE']])
  })

  it('says why it cannot be had, and when to come again', async () => {
    await using opened = new AsyncDisposableStack()
    const { api, hub, quay } = await openMirrored(opened)
    hub.weather = 'cut'
    quay.weather = 'limited'
    const cut = await api.call('GET', '/v2/docker.io/team/app/manifests/1')
    expect([cut.status, codesOf(cut)]).toEqual([503, ['UNAVAILABLE']])
    expect(cut.body.toString()).toContain('docker.io cannot be reached: connection refused')
    const limited = await api.call('GET', '/v2/quay.io/team/app/manifests/1')
    expect([limited.status, limited.headers['retry-after'], codesOf(limited)]).toEqual([
      429,
      '60',
      ['TOOMANYREQUESTS'],
    ])
    const absent = await api.call('GET', `/v2/${name}/manifests/none`)
    expect(absent.status).toBe(503)
  })

  it.each(['ghcr.io', 'localhost:9', '169.254.169.254', 'http://evil.example/?', 'docker.io%40evil.example'])(
    'is never made of ns=%s, which nobody configured',
    async (ns) => {
      await using opened = new AsyncDisposableStack()
      const { api, hub, quay } = await openMirrored(opened)
      for (const path of ['manifests/3', `blobs/${digestBytes(Buffer.from('x'))}`, 'tags/list']) {
        const answer = await api.call('GET', `/v2/library/alpine/${path}?ns=${ns}`)
        expect([answer.status, codesOf(answer)]).toEqual([404, ['NAME_UNKNOWN']])
      }
      expect((await api.call('POST', `/v2/library/alpine/blobs/uploads/?ns=${ns}`)).status).toBe(404)
      expect([...hub.asked, ...quay.asked]).toEqual([])
    },
  )
})

describe('a name without a registry', () => {
  it('is the cluster’s own where the cluster has it, whatever its upstream has', async () => {
    await using opened = new AsyncDisposableStack()
    const { api, hub } = await openMirrored(opened)
    const { digest } = await api.pushImage('library/alpine', '3')
    for (const query of ['', `?ns=127.0.0.1:${api.port}`]) {
      const answer = await api.call('GET', `/v2/library/alpine/manifests/3${query}`, {
        headers: { Host: `127.0.0.1:${api.port}` },
      })
      expect(answer.headers['docker-content-digest']).toBe(digest)
    }
    expect((await api.call('GET', '/v2/library/alpine/manifests/4')).status).toBe(404)
    expect(hub.asked).toEqual([])
    const mirrored = await api.call('GET', '/v2/library/alpine/manifests/3?ns=docker.io')
    expect(mirrored.headers['docker-content-digest']).not.toBe(digest)
  })

  it('is the upstream’s again when the cluster has deleted its own', async () => {
    await using opened = new AsyncDisposableStack()
    const { api, digest } = await openMirrored(opened)
    const get = async () => (await api.call('GET', '/v2/library/alpine/manifests/3')).headers
    const own = await api.pushImage('library/alpine', '3')
    for (let i = 0; i < 2; i++) expect(await get()).toMatchObject({ 'docker-content-digest': own.digest })
    await api.call('DELETE', `/v2/library/alpine/manifests/${own.digest}`)
    expect(await get()).toMatchObject({ 'docker-content-digest': digest })
  })

  it('can be pushed to, also while its upstream is away, and without its upstream being asked for blobs', async () => {
    await using opened = new AsyncDisposableStack()
    const { api, hub } = await openMirrored(opened)
    hub.weather = 'cut'
    // Some clients look before they push, and take anything but "unknown" for a failure.
    const looked = await api.call('HEAD', '/v2/team/new/manifests/1')
    expect(looked.status).toBe(404)
    const asked = hub.asked.length
    const { digest, config } = await api.pushImage('team/new', '1')
    expect((await api.call('HEAD', `/v2/team/new/blobs/${config}`)).status).toBe(200)
    expect((await api.call('GET', '/v2/team/new/manifests/1')).headers['docker-content-digest']).toBe(digest)
    expect(hub.asked).toHaveLength(asked)
  })

  it('is not taken for its upstream’s while members that may have it do not answer', async () => {
    await using opened = new AsyncDisposableStack()
    const elsewhere: Partial<Elsewhere> = {
      askForTag: async () => 'silence',
      askForManifest: async () => 'silence',
    }
    const { api, hub, digest } = await openMirrored(opened, { elsewhere })
    for (const reference of ['3', digest]) {
      const answer = await api.call('GET', `/v2/library/alpine/manifests/${reference}`)
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1'])
    }
    expect(hub.asked).toEqual([])
    // A push to it goes on, and is no matter of the upstream.
    await api.pushBlob('library/alpine', 'a layer')
    expect((await api.call('HEAD', '/v2/library/alpine/manifests/3')).status).toBe(404)
    expect((await api.call('GET', '/v2/library/alpine/manifests/3')).status).toBe(503)
    expect(hub.asked).toEqual([])
  })

  it('is never an upstream’s where the operator does not want that', async () => {
    await using opened = new AsyncDisposableStack()
    const { api, hub } = await openMirrored(opened, { bareNames: false })
    expect((await api.call('GET', '/v2/library/alpine/manifests/3')).status).toBe(404)
    expect(hub.asked).toEqual([])
    expect((await api.call('GET', `/v2/${name}/manifests/3`)).status).toBe(200)
  })
})
