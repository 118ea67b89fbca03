/** How an upstream is entered: tokens for anyone and for who has credentials, passwords, and where they may go. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { digestBytes } from '../../src/oci/oci.ts'
import type { Credentials, UpstreamChange, UpstreamOptions } from '../../src/upstream/upstream.ts'
import { type FakeTokenServer, openFakeTokenServer } from './fake-token-server.ts'
import { emptyImage, type FakeUpstream, openFakeUpstream } from './fake-upstream.ts'
import { failureOf, openUpstream, repository, tagged, testClock } from './fixture.ts'

const robot = { username: 'robot', password: 'hunter2' }
const robotHeader = `Basic ${Buffer.from('robot:hunter2').toString('base64')}`
const tag = tagged('1')

describe('an upstream behind a token server', () => {
  let fake: FakeUpstream
  let tokens: FakeTokenServer
  let opened: AsyncDisposableStack
  /** Tokens that it takes. */
  let valid: (token: string) => boolean
  let challenge: string

  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    fake = opened.use(await openFakeUpstream())
    tokens = opened.use(await openFakeTokenServer())
    fake.putManifest(repository, emptyImage(), '1')
    valid = () => true
    challenge = `Bearer realm="${tokens.realm()}",service="up.test"`
    fake.intercept = (request, response) => {
      const [, token] = /^Bearer (.*)$/.exec(request.headers.authorization ?? '') ?? []
      if (token !== undefined && valid(token)) return false
      response.writeHead(401, { 'www-authenticate': challenge }).end()
      return true
    }
  })
  afterEach(() => opened.disposeAsync())

  const open = async (credentials?: Credentials, options: Partial<UpstreamOptions> = {}) => {
    const all = { url: fake.url, ...(credentials === undefined ? {} : { credentials }), ...options }
    return opened.use(await openUpstream(all)).upstream
  }

  it('is asked with a token to pull that one repository, and for no token twice', async () => {
    const upstream = await open()
    for (let time = 0; time < 3; time++) expect(await upstream.getManifest(repository, tag)).toBeDefined()
    expect(tokens.asked).toHaveLength(1)
    expect(tokens.asked[0]?.query.toString()).toBe(
      new URLSearchParams({ service: 'up.test', scope: 'repository:library/alpine:pull' }).toString(),
    )
    expect(fake.seen.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      'Bearer t1',
      'Bearer t1',
      'Bearer t1',
    ])
  })

  it('is asked by many at once with one token', async () => {
    const upstream = await open()
    await Promise.all(Array.from({ length: 20 }, () => upstream.statManifest(repository, tag)))
    expect(tokens.asked).toHaveLength(1)
    expect(fake.seen).toHaveLength(21)
  })

  it('gets a new token before the old one expires', async () => {
    const clock = testClock()
    const { upstream } = opened.use(await openUpstream({ url: fake.url }, { clock }))
    for (const passedMs of [0, 285_000, 10_000]) {
      clock.pass(passedMs)
      await upstream.statManifest(repository, tag)
    }
    expect(fake.seen.map(({ headers }) => headers.authorization).slice(1)).toEqual([
      'Bearer t1',
      'Bearer t1',
      'Bearer t2',
    ])
  })

  it('gets a new token, once, when it does not take the old one any more', async () => {
    const upstream = await open()
    await upstream.statManifest(repository, tag)
    valid = (token) => token !== 't1'
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
    valid = () => false
    expect(await failureOf(upstream.statManifest(repository, tag))).toMatchObject({ trouble: 'denied' })
    expect(tokens.asked).toHaveLength(3)
  })

  it('does not make this node ask for more than to pull what it was asked for', async () => {
    challenge += ',scope="repository:other/secret:pull,push registry:catalog:* aws"'
    const upstream = await open()
    await upstream.statManifest(repository, tag)
    expect(tokens.asked[0]?.query.getAll('scope')).toEqual([
      'repository:library/alpine:pull',
      'aws',
      'registry:catalog:*',
    ])
  })

  it('denies what it may have to who gets no token', async () => {
    tokens.answer = () => ({ status: 401, body: '' })
    const upstream = await open()
    expect(await failureOf(upstream.getManifest(repository, tag))).toMatchObject({ trouble: 'denied' })
  })

  it('gives a token for a password by GET', async () => {
    const upstream = await open(robot)
    expect(upstream.isShared).toBe(false)
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
    expect(tokens.asked.map(({ method, headers }) => [method, headers.authorization])).toEqual([
      ['GET', robotHeader],
    ])
  })

  it('gives a token for a password by POST where there is no GET', async () => {
    const { answer } = tokens
    tokens.answer = (request) => (request.method === 'GET' ? { status: 405, body: '' } : answer(request))
    const upstream = await open(robot)
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
    expect(Object.fromEntries(tokens.asked[1]?.form ?? [])).toEqual({
      grant_type: 'password',
      username: 'robot',
      password: 'hunter2',
      client_id: 'shoal',
      service: 'up.test',
      scope: 'repository:library/alpine:pull',
    })
  })

  it('exchanges a token for others by POST', async () => {
    const upstream = await open({ token: 'identity' })
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
    expect(tokens.asked).toHaveLength(1)
    expect(Object.fromEntries(tokens.asked[0]?.form ?? [])).toMatchObject({
      grant_type: 'refresh_token',
      refresh_token: 'identity',
    })
  })

  it.each([
    ['another host', () => tokens.realm('localhost')],
    ['another port of another host', () => 'http://localhost:1/token'],
    ['a host that only begins like it', () => 'http://127.0.0.1.evil.invalid/token'],
    ['a host behind a user name like it', () => 'http://127.0.0.1@localhost:1/token'],
  ])('cannot have credentials sent to %s', async (_where, realm) => {
    challenge = `Bearer realm="${realm()}",service="up.test"`
    for (const credentials of [robot, { token: 'hunter2' }]) {
      const upstream = await open(credentials)
      const error = await failureOf(upstream.statManifest(repository, tag))
      expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'refused' })
      expect(error.message).toMatch(/its token server \S+ is not known to be its own/)
      expect(JSON.stringify([error, error.message, upstream.status()])).not.toContain('hunter2')
    }
    expect(tokens.asked).toEqual([])
  })

  it('has its token server elsewhere where the operator says so', async () => {
    challenge = `Bearer realm="${tokens.realm('localhost')}",service="up.test"`
    const upstream = await open(robot, { authHosts: ['localhost'] })
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
    expect(tokens.asked[0]?.headers.authorization).toBe(robotHeader)
  })

  it('may have its token server elsewhere for whoever has no credentials', async () => {
    challenge = `Bearer realm="${tokens.realm('localhost')}",service="up.test"`
    const upstream = await open()
    expect(await upstream.statManifest(repository, tag)).toBeDefined()
    expect(tokens.asked[0]?.headers.authorization).toBeUndefined()
  })

  it.each([
    ['the address of a cloud host', 'http://169.254.169.254/latest/meta-data', 'is a link-local address'],
    ['another network', 'http://10.0.0.1/token', 'is a private address'],
    ['no network', 'http://0.0.0.0/token', 'is a reserved address'],
  ])('cannot send this node to %s', async (_where, realm, reason) => {
    challenge = `Bearer realm="${realm}"`
    const error = await failureOf((await open()).statManifest(repository, tag))
    expect(error.message).toContain(reason)
  })

  it.each([
    ['no JSON', 'token'],
    ['no object', '["token"]'],
    ['no token', '{"expires_in":300}'],
    ['a token that ends the header', '{"token":"a\\r\\nx-evil: 1"}'],
    ['a token with spaces', '{"token":"a b"}'],
    ['an empty token', '{"token":""}'],
    ['a token that is no text', '{"token":{"a":1}}'],
    ['a token that is too long', JSON.stringify({ token: 'x'.repeat(20_000) })],
    ['too much', JSON.stringify({ token: 'x', padding: 'x'.repeat(100_000) })],
    ['one key twice', '{"token":"a","token":"b"}'],
  ])('is not asked with %s', async (_what, body) => {
    tokens.answer = () => ({ status: 200, body })
    const error = await failureOf((await open()).statManifest(repository, tag))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'wrong' })
    expect(fake.seen).toHaveLength(1)
  })

  it('says when its token server does not take the credentials', async () => {
    tokens.answer = () => ({ status: 401, body: '' })
    const upstream = await open(robot)
    const error = await failureOf(upstream.getManifest(repository, tag))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'refused' })
    expect(upstream.status().lastError).toContain('does not take the credentials')
  })
})

describe('an upstream behind a password', () => {
  let fake: FakeUpstream
  let opened: AsyncDisposableStack

  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    fake = opened.use(await openFakeUpstream())
    fake.putManifest(repository, emptyImage(), '1')
    fake.intercept = (request, response) => {
      if (request.headers.authorization === robotHeader) return false
      response.writeHead(401, { 'www-authenticate': 'Basic realm="up.test"' }).end()
      return true
    }
  })
  afterEach(() => opened.disposeAsync())

  it('is shown it when it asks for one, and not before', async () => {
    const { upstream } = opened.use(await openUpstream({ url: fake.url, credentials: robot }))
    expect(await upstream.getManifest(repository, tag)).toBeDefined()
    expect(fake.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, robotHeader])
  })

  it('denies what it may have where no password is configured, instead of having none', async () => {
    const { upstream } = opened.use(await openUpstream({ url: fake.url }))
    for (const asking of [upstream.getManifest(repository, tag), upstream.statManifest(repository, tag)]) {
      const error = await failureOf(asking)
      expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'denied' })
      expect(error.message).toMatch(/does not let this node read .*: .*credentials/)
    }
    expect(await upstream.listReferrers(repository, digestBytes(Buffer.from('x')))).toEqual([])
    expect(await upstream.openBlob(repository, digestBytes(Buffer.from('x')))).toBeUndefined()
  })

  it('is not asked again and again with one that it does not take', async () => {
    const credentials = { ...robot, password: 'wrong' }
    const { upstream } = opened.use(await openUpstream({ url: fake.url, credentials }))
    const error = await failureOf(upstream.getManifest(repository, tag))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'refused' })
    expect(fake.seen).toHaveLength(2)
  })

  it('tells once that it takes none, and once that it takes it again', async () => {
    const changes: UpstreamChange[] = []
    const credentials = { ...robot, password: 'wrong' }
    const { upstream } = opened.use(
      await openUpstream(
        { url: fake.url, credentials, credentialsFrom: '/etc/shoal.json' },
        { onChange: (_name, change) => void changes.push(change) },
      ),
    )
    expect(upstream.status().credentials).toEqual({ from: '/etc/shoal.json', refused: false })
    for (const _ of [1, 2]) await failureOf(upstream.getManifest(repository, tag))
    const reason = 'does not take the user name and password that are configured'
    expect(changes).toEqual([{ to: 'refusing', reason }])
    expect(upstream.status().credentials?.refused).toBe(true)
    fake.intercept = () => false
    for (const _ of [1, 2]) await upstream.getManifest(repository, tag)
    expect(changes.slice(1)).toEqual([{ to: 'taking' }])
    expect(upstream.status().credentials?.refused).toBe(false)
  })

  it('says in its status that it wants one', async () => {
    const { upstream } = opened.use(await openUpstream({ url: fake.url }))
    await failureOf(upstream.getManifest(repository, tag))
    expect(upstream.status().lastError).toBe('wants a user name and password, and none are configured')
  })
})
