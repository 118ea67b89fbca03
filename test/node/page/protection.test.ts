/** Whom the page answers, and what it lets other sites, other names and strangers' text do: nothing. */
import { request } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeImage } from '../../e2e/image.ts'
import { codeOf, type ServedPage, servePage } from './fixture.ts'

describe('the page’s protection', () => {
  let page: ServedPage
  beforeEach(async () => {
    page = await servePage()
    await page.operated.push('team/app', '1', makeImage({ seed: 'app', layerBytes: [1000] }))
  })
  afterEach(async () => {
    await page[Symbol.asyncDispose]()
  })
  const isThere = async () => (await page.ask('/api/tags?repository=team/app')).body.includes('"tag":"1"')

  it.each([
    'localhost',
    'LOCALHOST',
    'localhost.',
    '127.0.0.1',
    '127.0.0.1:5000',
    '[::1]:5000',
    '192.0.2.7:80',
  ])('answers to the host %s', async (host) => {
    expect((await page.ask('/', { headers: { Host: host } })).status).toBe(200)
    expect((await page.ask('/api/repositories', { headers: { Host: host } })).status).toBe(200)
  })

  it.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil.example:5000',
    'localhost:5000@evil.example',
    'localhost/',
    '[::1',
    'a'.repeat(300),
  ])('does not answer to the host %j, which may have been rebound', async (host) => {
    for (const path of ['/', '/page/app.js', '/api/repositories', '/api/token', '/api/live']) {
      const answer = await page.ask(path, { headers: { Host: host } })
      expect([400, 421]).toContain(answer.status)
      expect(answer.body).not.toContain('team/app')
    }
  })

  it.each(['--page-host', '--allow-host'])('answers to the names that %s gives', async (flag) => {
    await using named = await servePage([flag, 'registry.example'])
    expect((await named.ask('/', { headers: { Host: 'Registry.example:5000' } })).status).toBe(200)
    expect((await named.ask('/', { headers: { Host: 'other.example' } })).status).toBe(421)
  })

  it.each([
    { 'Sec-Fetch-Site': 'cross-site' },
    { 'Sec-Fetch-Site': 'same-site' },
    { Origin: 'https://evil.example' },
    { Origin: 'http://localhost:1' },
    { Origin: 'null' },
  ] as Record<string, string>[])('tells other sites nothing: %j', async (headers) => {
    for (const path of ['/api/token', '/api/repositories', '/api/live']) {
      const answer = await page.ask(path, { headers })
      expect(answer.status).toBe(403)
      expect(codeOf(answer)).toBe('OTHER_SITE')
    }
    const change = await page.change('/api/delete-tag', { repository: 'team/app', tag: '1' }, headers)
    expect(change.status).toBe(403)
    expect(await isThere()).toBe(true)
  })

  it('never allows another origin to read what it answers', async () => {
    const answer = await page.ask('/api/token')
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    const preflight = await page.ask('/api/delete-tag', {
      method: 'OPTIONS',
      headers: { Origin: 'https://evil.example' },
    })
    expect(preflight.status).toBe(403)
  })

  it.each([
    [{ 'X-Shoal-Token': '' }, 'TOKEN'],
    [{ 'X-Shoal-Token': 'x'.repeat(43) }, 'TOKEN'],
    [{ 'Content-Type': 'text/plain' }, 'BODY'],
    [{ 'Content-Type': 'application/x-www-form-urlencoded' }, 'BODY'],
  ] as [Record<string, string>, string][])('changes nothing for a request with %j', async (headers, code) => {
    const answer = await page.change('/api/delete-tag', { repository: 'team/app', tag: '1' }, headers)
    expect(codeOf(answer)).toBe(code)
    expect(await isThere()).toBe(true)
  })

  it('gives every answer a strict policy', async () => {
    for (const path of ['/', '/page/app.js', '/api/repositories', '/api/nothing', '/page/nothing.js']) {
      const { headers } = await page.ask(path)
      const policy = String(headers['content-security-policy'])
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("script-src 'self'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toMatch(/unsafe|\*|data:|https?:/)
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
    }
  })

  it('refuses changes to whoever is not on this host, unless a setting allows them', async () => {
    const lan = { Host: '192.0.2.7:5000' }
    const refused = await page.change('/api/delete-tag', { repository: 'team/app', tag: '1' }, lan)
    expect([refused.status, codeOf(refused)]).toEqual([403, 'READ_ONLY'])
    await using open = await servePage(['--page-changes'])
    await open.operated.push('team/app', '1', makeImage({ seed: 'app', layerBytes: [1000] }))
    expect((await open.change('/api/delete-tag', { repository: 'team/app', tag: '1' }, lan)).status).toBe(200)
    await using lanNode = await servePage(['--http', '0.0.0.0:0'])
    expect(codeOf(await lanNode.change('/api/collect', {}))).toBe('READ_ONLY')
  })

  it.each([
    '/page/../index.html',
    '/page/%2e%2e/index.html',
    '/page/..%2f..%2fpackage.json',
    '/page//etc/passwd',
  ])('serves no file but those of the page: %s', async (path) => {
    expect((await page.ask(path)).status).toBe(404)
  })

  it('leaves the registry’s paths to the registry', async () => {
    expect((await page.ask('/v2/team/app/tags/list')).json()).toMatchObject({ tags: ['1'] })
    expect((await page.ask('/v2/')).headers['content-security-policy']).toBeUndefined()
  })

  it('cuts off a body that is too large', async () => {
    const answer = await page.change('/api/delete-tag', { repository: 'x'.repeat(5000), tag: '1' })
    expect([answer.status, codeOf(answer)]).toEqual([413, 'BODY'])
  })

  it.each(['', 'null', '[]', '"x"', '{', '{"repository":1,"tag":2}'])('refuses the body %j', async (body) => {
    const { token } = (await page.ask('/api/token')).json<{ token: string }>()
    const headers = { 'Content-Type': 'application/json', 'X-Shoal-Token': token }
    const answer = await page.ask('/api/delete-tag', { method: 'POST', headers, body })
    expect([answer.status, codeOf(answer)]).toEqual([400, 'BODY'])
  })

  it('bounds how many watch', async () => {
    const readers = await Promise.all(Array.from({ length: 32 }, () => page.open('/api/live')))
    const refused = await page.ask('/api/live')
    expect([refused.status, codeOf(refused)]).toEqual([503, 'BUSY'])
    for (const reader of readers) reader.destroy()
  })

  it('answers a request without a Host with a refusal', async () => {
    const status = await new Promise<number>((resolve, reject) => {
      const outgoing = request({
        host: '127.0.0.1',
        port: page.port,
        path: '/',
        setHost: false,
        agent: false,
      })
      outgoing.once('response', (incoming) => resolve(incoming.resume().statusCode ?? 0))
      outgoing.once('error', reject).end()
    })
    expect([400, 421]).toContain(status)
  })
})
