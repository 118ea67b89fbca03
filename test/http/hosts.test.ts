/** By which names the API answers: a stranger's name can be made to lead here, and a stranger's page can ask. */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Api, codesOf, openApi } from './harness.ts'

let api: Api
beforeAll(async () => {
  api = await openApi({ hosts: ['Registry.example', '*.apps.example'] })
  await api.pushImage('team/app', '1')
})
afterAll(() => api[Symbol.asyncDispose]())

/** What a socket is answered to these lines. */
function say(...lines: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(api.port, '127.0.0.1', () => socket.write(`${lines.join('\r\n')}\r\n\r\n`))
    let text = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes('}')) socket.destroy()
    })
    socket.once('error', reject).once('close', () => resolve(text))
  })
}

describe('the name that a client uses', () => {
  it.each([
    'localhost',
    'LOCALHOST:5000',
    'localhost.',
    'node.localhost:5000',
    'host.docker.internal:5000',
    '127.0.0.1:5000',
    '192.0.2.7',
    '[::1]:5000',
    '[fe80::1%25eth0]:5000',
    'registry.example',
    'REGISTRY.EXAMPLE:443',
    'registry.example.:5000',
    'shop.apps.example',
    'a.b.apps.example:80',
    '',
  ])('is answered when it is %j', async (host) => {
    const answer = await api.call('GET', '/v2/_catalog', { headers: { Host: host } })
    expect([answer.status, answer.json()]).toEqual([200, { repositories: ['team/app'] }])
  })

  it.each([
    'evil.example',
    'evil.example:5000',
    'registry.example.evil.example',
    'xregistry.example',
    'apps.example',
    '.apps.example',
    'evilapps.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil.example#localhost',
    'localhost:5000@evil.example',
    'localhost, evil.example',
    'evil.example, localhost',
    '[::1',
    '[localhost]',
    '[evil.example%25::1]',
    'localhost:',
    '.',
    '..',
    'x'.repeat(300),
  ])('is refused when it is %j, as that may have been rebound', async (host) => {
    for (const [method, path] of [
      ['GET', '/v2/'],
      ['GET', '/v2/_catalog'],
      ['GET', '/v1/search?q=app'],
      ['HEAD', '/v2/team/app/manifests/1'],
      ['DELETE', '/v2/team/app/manifests/1'],
      ['GET', '/v2/no-such-thing'],
    ] as const) {
      const answer = await api.call(method, path, { headers: { Host: host } })
      expect(answer.status).toBe(421)
      expect(answer.body.toString()).not.toContain('team/app')
      if (method === 'HEAD') continue
      expect(codesOf(answer)).toEqual(['DENIED'])
      expect(answer.body.toString()).toContain('--allow-host')
    }
    expect((await api.call('HEAD', '/v2/team/app/manifests/1')).status).toBe(200)
  })

  it('is not missed in HTTP/1.0, which no browser speaks', async () => {
    expect(await say('GET /v2/_catalog HTTP/1.0')).toMatch(/^HTTP\/1.1 200/)
    expect(await say('GET /v2/_catalog HTTP/1.1')).toMatch(/^HTTP\/1.1 400/)
    expect(await say('GET /v2/_catalog HTTP/1.0', 'Host: evil.example')).toMatch(/^HTTP\/1.1 421/)
  })

  it('is the first one given, whatever follows or stands in the address', async () => {
    for (const lines of [
      ['GET http://localhost/v2/_catalog HTTP/1.1', 'Host: evil.example'],
      ['GET /v2/_catalog HTTP/1.1', 'Host: evil.example', 'Host: localhost'],
      ['GET /v2/_catalog HTTP/1.1', 'Host: evil.example', 'X-Forwarded-Host: localhost'],
    ])
      expect(await say(...lines, 'Connection: close')).not.toMatch(/^HTTP\/1.1 200/)
  })

  it('may be any where a setting says so', async () => {
    await using open = await openApi({ hosts: ['*'] })
    expect((await open.call('GET', '/v2/', { headers: { Host: 'evil.example' } })).status).toBe(200)
  })

  it('is logged once for each that is refused, and not for ever', async () => {
    const lines: object[] = []
    const note = (fields: object): void => void lines.push(fields)
    await using told = await openApi({
      logger: { debug: () => undefined, info: () => undefined, warn: note, error: note },
    })
    for (let host = 0; host < 100; host++) {
      for (let time = 0; time < 2; time++)
        await told.call('GET', '/v2/', { headers: { Host: `evil-${host}.example` } })
    }
    expect(lines).toHaveLength(32)
    expect(lines[0]).toEqual({ host: 'evil-0.example', client: '127.0.0.1', method: 'GET', url: '/v2/' })
  })
})

describe('a web page of another site', () => {
  it.each([
    { 'Sec-Fetch-Site': 'cross-site' },
    { 'Sec-Fetch-Site': 'same-site' },
    { 'Sec-Fetch-Site': 'nonsense' },
    { Origin: 'https://evil.example' },
    { Origin: 'http://localhost:1' },
    { Origin: 'null' },
    { Origin: '' },
  ] as Record<string, string>[])('costs the cluster and its upstreams nothing: %j', async (headers) => {
    for (const path of [
      '/v2/docker.io/library/alpine/manifests/3',
      '/v2/team/app/manifests/1',
      '/v2/_catalog',
    ]) {
      const answer = await api.call('GET', path, { headers: { Host: 'localhost:5000', ...headers } })
      expect([answer.status, codesOf(answer)]).toEqual([403, ['DENIED']])
    }
  })

  it.each([
    { 'Sec-Fetch-Site': 'none' },
    { 'Sec-Fetch-Site': 'same-origin' },
    { Origin: 'http://localhost:5000' },
    { Origin: 'https://localhost:5000' },
  ] as Record<string, string>[])('is none with %j', async (headers) => {
    const all = { Host: 'localhost:5000', ...headers }
    expect((await api.call('GET', '/v2/_catalog', { headers: all })).status).toBe(200)
  })
})
