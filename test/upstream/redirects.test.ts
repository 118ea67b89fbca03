/** Where an upstream may send this node, and what goes along. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Digest, digestBytes } from '../../src/oci/oci.ts'
import type { Upstream } from '../../src/upstream/upstream.ts'
import { type FakeProxy, openFakeProxy } from './fake-proxy.ts'
import { type FakeUpstream, openFakeUpstream } from './fake-upstream.ts'
import { failureOf, openUpstream, readAll, repository } from './fixture.ts'

const robot = { username: 'robot', password: 'hunter2' }
const bytes = Buffer.from('0123456789')
const digest = digestBytes(bytes)

describe('an upstream that redirects', () => {
  let fake: FakeUpstream
  let store: FakeUpstream
  let upstream: Upstream
  let opened: AsyncDisposableStack
  /** Where its blobs are. */
  let location: string

  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    fake = opened.use(await openFakeUpstream())
    store = opened.use(await openFakeUpstream({ host: 'localhost' }))
    store.putBlob(repository, bytes)
    fake.putBlob(repository, bytes)
    location = new URL(`/v2/${repository}/blobs/${digest}`, store.url).href
    fake.intercept = ({ headers, url = '' }, response) => {
      if (headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="up.test"' }).end()
        return true
      }
      if (!url.startsWith(`/v2/${repository}/`)) return false
      response.writeHead(307, { location }).end()
      return true
    }
    upstream = opened.use(await openUpstream({ url: fake.url, credentials: robot })).upstream
  })
  afterEach(() => opened.disposeAsync())

  it('is followed to another host with the range and without credentials', async () => {
    await using blob = await upstream.openBlob(repository, digest, { start: 4 })
    expect(await readAll(blob?.chunks)).toEqual(bytes.subarray(4))
    expect(store.seen).toHaveLength(1)
    expect(store.seen[0]?.headers).toMatchObject({ range: 'bytes=4-' })
    expect(store.seen[0]?.headers.authorization).toBeUndefined()
  })

  it('is given no credentials any more once it led elsewhere, not even where that leads back', async () => {
    store.intercept = (_request, response) => {
      response.writeHead(302, { location: new URL('/elsewhere', fake.url).href }).end()
      return true
    }
    const error = await failureOf(upstream.openBlob(repository, digest))
    expect(error.message).toBe(`up.test redirects to ${fake.url.host}, which answers 401`)
    expect(fake.seen.at(-1)).toMatchObject({ path: '/elsewhere' })
    expect(fake.seen.at(-1)?.headers.authorization).toBeUndefined()
  })

  it('is followed within itself with credentials', async () => {
    location = `/v2/other/blobs/${digest}`
    fake.putBlob('other', bytes)
    await using blob = await upstream.openBlob(repository, digest)
    expect(await readAll(blob?.chunks)).toEqual(bytes)
  })

  it('is not followed round and round', async () => {
    location = `/v2/${repository}/blobs/${digest}`
    const error = await failureOf(upstream.openBlob(repository, digest))
    expect(error.message).toBe('up.test redirects more than 5 times')
    expect(fake.seen).toHaveLength(1 + 6)
  })

  it.each([
    ['nowhere', '', 'redirects to nowhere'],
    ['what is no URL', 'http://[', 'redirects to nowhere'],
    ['a file', 'file:///etc/passwd', 'redirects from http:// to file://, which is refused'],
    ['another protocol', 'gopher://127.0.0.1/x', 'to gopher://, which is refused'],
    ['a URL with credentials', 'http://a:b@127.0.0.1/x', 'with credentials in the address'],
    [
      'the address of a cloud host',
      'http://169.254.169.254/latest',
      '169.254.169.254 is a link-local address',
    ],
    ['the same written otherwise', 'http://0xa9fea9fe/latest', '169.254.169.254 is a link-local address'],
    ['the same within IPv6', 'http://[::ffff:a9fe:a9fe]/latest', 'is a link-local address'],
    ['another network', 'http://192.168.1.1/', '192.168.1.1 is a private address'],
    ['another network by IPv6', 'http://[fd00::1]/', 'is a private address'],
    ['no address', 'http://0.0.0.0/', '0.0.0.0 is a reserved address'],
    ['everybody', 'http://255.255.255.255/', 'is a reserved address'],
  ])('is not followed to %s', async (_where, target, reason) => {
    location = target
    const error = await failureOf(upstream.openBlob(repository, digest))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', upstream: 'up.test' })
    expect(error.message).toContain(reason)
    // It answers, wherever it points.
    expect(upstream.status().reachable).toBe(true)
  })

  it('is told apart from where it leads when that fails', async () => {
    location = 'http://localhost:1/blob'
    const error = await failureOf(upstream.openBlob(repository, digest))
    expect(error.message).toBe('up.test redirects to localhost:1, which refuses connections')
    expect(upstream.status().reachable).toBe(true)
  })

  it.each([401, 403, 500])('cannot have a %i of another host taken for its own word', async (status) => {
    store.intercept = (_request, response) => {
      response.writeHead(status).end()
      return true
    }
    const error = await failureOf(upstream.openBlob(repository, digest))
    expect(error.message).toBe(`up.test redirects to ${store.url.host}, which answers ${status}`)
  })
})

describe('an upstream outside of this network', () => {
  let proxy: FakeProxy
  let fake: FakeUpstream
  let opened: AsyncDisposableStack

  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    fake = opened.use(await openFakeUpstream())
    proxy = opened.use(await openFakeProxy(fake))
  })
  afterEach(() => opened.disposeAsync())

  const open = async (environment: NodeJS.ProcessEnv = {}) => {
    const besides = { environment: { HTTP_PROXY: proxy.url, ...environment } }
    return opened.use(await openUpstream({ url: new URL('http://registry.example') }, besides)).upstream
  }
  const redirectTo = (location: string) => {
    fake.intercept = ({ url }, response) => {
      if (url === '/v2/') return false
      response.writeHead(307, { location }).end()
      return true
    }
  }

  it('is asked through the proxy of the environment', async () => {
    const blob: Digest = fake.putBlob(repository, bytes)
    await using found = await (await open()).openBlob(repository, blob)
    expect(await readAll(found?.chunks)).toEqual(bytes)
    expect(proxy.asked.join()).toContain('registry.example')
  })

  it('is asked without a proxy where NO_PROXY names it', async () => {
    const upstream = await open({ NO_PROXY: '.example' })
    const error = await failureOf(upstream.openBlob(repository, digest))
    expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'unreachable' })
    expect(proxy.asked).toEqual([])
  })

  it.each([
    ['this host', 'http://127.0.0.1:6443/', 'is a loopback address'],
    ['this host by name', 'http://localhost/', 'localhost is a loopback address'],
    ['this host by an odd name', 'http://evil.localhost./', 'is a loopback address'],
    ['this host by IPv6', 'http://[::1]/', 'is a loopback address'],
    ['this network', 'http://10.1.2.3/', 'is a private address'],
  ])('cannot send this node to %s', async (_where, location, reason) => {
    redirectTo(location)
    const error = await failureOf((await open()).openBlob(repository, digest))
    expect(error.message).toContain(reason)
  })
})
