/** HEAD and GET of every route, side by side: clients ask one and believe that the other says the same. */
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Api, openApi } from './harness.ts'

const unknown = `sha256:${'0'.repeat(64)}`
const names = [
  'base',
  'a manifest by its tag',
  'a manifest by its digest',
  'a blob',
  'tags',
  'tags, a page of them',
  'catalog',
  'referrers',
  'filtered referrers',
  'an unknown manifest',
  'an unknown blob',
  'an unknown repository',
  'a wrong digest',
  'no endpoint',
  'a namespace',
] as const
let api: Api
let paths: Record<(typeof names)[number], string>
beforeAll(async () => {
  api = await openApi()
  const image = await api.pushImage('team/app', 'v1')
  const [layer = unknown] = image.layers
  paths = {
    base: '/v2/',
    'a manifest by its tag': '/v2/team/app/manifests/v1',
    'a manifest by its digest': `/v2/team/app/manifests/${image.digest}`,
    'a blob': `/v2/team/app/blobs/${layer}`,
    tags: '/v2/team/app/tags/list',
    'tags, a page of them': '/v2/team/app/tags/list?n=0',
    catalog: '/v2/_catalog',
    referrers: `/v2/team/app/referrers/${image.digest}`,
    'filtered referrers': `/v2/team/app/referrers/${image.digest}?artifactType=a/b`,
    'an unknown manifest': '/v2/team/app/manifests/none',
    'an unknown blob': `/v2/team/app/blobs/${unknown}`,
    'an unknown repository': '/v2/nobody/tags/list',
    'a wrong digest': '/v2/team/app/blobs/sha256:x',
    'no endpoint': '/v2/team/app/nothing',
    'a namespace': `/v2/team/app/blobs/${layer}?ns=docker.io`,
  }
})
afterAll(() => api[Symbol.asyncDispose]())

describe('HEAD', () => {
  /** Whatever of these headers comes along; a range is for GET alone. */
  const conditions = fc.record(
    {
      'If-None-Match': fc.constantFrom('*', '"other"', 'own', 'W/own', '"other", own', ''),
      'If-Range': fc.constantFrom('own', '"other"'),
      Accept: fc.constantFrom('*/*', 'text/html', 'application/vnd.oci.image.index.v1+json'),
      'Accept-Encoding': fc.constantFrom('gzip', 'identity'),
    },
    { requiredKeys: [] },
  )

  it('of any path has the status and all headers of GET, and no body', () =>
    fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), conditions, async (name, asked) => {
        const path = paths[name]
        const own = (await api.call('HEAD', path)).headers.etag ?? '"none"'
        const headers = Object.fromEntries(
          Object.entries(asked).map(([key, value]) => [key, value.replace('own', own)]),
        )
        const [head, get] = await Promise.all([
          api.call('HEAD', path, { headers }),
          api.call('GET', path, { headers }),
        ])
        const { date: _head, ...ofHead } = head.headers
        const { date: _get, ...ofGet } = get.headers
        expect([name, head.status, ofHead]).toEqual([name, get.status, ofGet])
        if (head.status !== 304) expect(head.headers['content-length']).toBe(String(get.body.length))
        expect(head.headers['docker-distribution-api-version']).toBe('registry/2.0')
        expect(head.body).toHaveLength(0)
      }),
      { examples: names.map((name) => [name, {}]) },
    ))
})

describe('a request for a mirrored name', () => {
  it.each([
    ['docker.io', 'docker.io'],
    ['registry.corp:5000', 'registry.corp:5000'],
    ['a%0d%0ab', undefined],
    ['x'.repeat(300), undefined],
    ['', undefined],
  ])('with ns=%s is answered with the namespace that it is about', async (ns, expected) => {
    const answer = await api.call('GET', `/v2/library/alpine/manifests/3?ns=${ns}`)
    expect(answer.headers['oci-namespace']).toBe(expected)
  })
})

describe('who expects to be told to continue', () => {
  /** Sends what a client sends before it waits, and resolves with all that is answered until `until` is among it. */
  async function say(head: string, until: string, then = ''): Promise<string> {
    const socket = connect(api.port, '127.0.0.1')
    let said = ''
    socket.write(head)
    for await (const chunk of socket) {
      said += String(chunk)
      if (then !== '' && said.includes('100 Continue')) socket.write(then)
      if (said.includes(until)) break
    }
    socket.destroy()
    return said
  }

  it('is told so before it sends a blob, and has it taken', async () => {
    const started = await api.call('POST', '/v2/team/app/blobs/uploads/')
    const { location = '' } = started.headers
    const head = `PATCH ${location} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`
    const said = await say(head, '202 Accepted', 'bytes')
    expect(said).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 202 Accepted\r\n/)
    expect(said).toContain('Range: 0-4\r\n')
  })
})
