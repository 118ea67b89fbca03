/** Upstreams as they are: Debian's docker-registry, open, behind a password, and behind a token server. */
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseDigest, parseReference, parseRepository } from '../../src/oci/oci.ts'
import {
  type Credentials,
  openUpstreams,
  type Upstream,
  type UpstreamOptions,
  type Upstreams,
} from '../../src/upstream/upstream.ts'
import { openFakeProxy } from '../upstream/fake-proxy.ts'
import { type FakeUpstream, openFakeUpstream } from '../upstream/fake-upstream.ts'
import { makeCertificate } from './certificate.ts'
import { makeImage, makeIndex, sha256 } from './image.ts'
import { showOutputOnFailure } from './process.ts'
import { requires } from './requirement.ts'
import { openScratchFolder } from './scratch-folder.ts'
import {
  openUpstreamRegistry,
  type UpstreamRegistry,
  upstreamNeeds,
  upstreamUser,
} from './upstream-registry.ts'

const image = makeImage({ seed: 'upstream', layerBytes: [50_000, 400_000] })
const index = makeIndex('upstream-index')
const wrong = { ...upstreamUser, password: 'wrong' }
const tag = parseReference('1')

const kinds = [
  { auth: undefined, tls: true },
  { auth: 'basic', tls: true },
  { auth: 'token', tls: false },
] as const

describe.each(kinds)('a docker-registry with auth $auth and tls $tls', ({ auth, tls }) => {
  const open: (AsyncDisposable | undefined)[] = []
  let registry: UpstreamRegistry

  describe('as an upstream', requires(...upstreamNeeds), () => {
    beforeAll(async () => {
      registry = await openUpstreamRegistry({ tls, ...(auth === undefined ? {} : { auth }) })
      for (const repository of ['public/app', 'team/app']) {
        await registry.push(repository, '1', image)
        await registry.push(repository, 'index', index)
      }
    })
    afterAll(async () => {
      for (const each of open) await each?.[Symbol.asyncDispose]()
      await registry?.[Symbol.asyncDispose]()
    })
    showOutputOnFailure(() => [registry])

    const openWith = async (credentials?: Credentials): Promise<Upstream> => {
      const ca = registry.certificateAuthority
      const upstreams: Upstreams = await openUpstreams({
        environment: {},
        upstreams: [
          {
            name: 'up.test',
            url: new URL(registry.url),
            ...(credentials === undefined ? {} : { credentials }),
            ...(ca === undefined ? {} : { certificateAuthority: await readFile(ca, 'utf8') }),
          },
        ],
      })
      open.push(upstreams)
      return upstreams.find('up.test') as Upstream
    }

    test('gives all of an image', async () => {
      const upstream = await openWith(auth === undefined ? undefined : upstreamUser)
      const repository = parseRepository('team/app')
      const manifest = await upstream.getManifest(repository, tag)
      expect(manifest?.digest).toBe(image.manifest.descriptor.digest)
      expect(Buffer.from(manifest?.bytes ?? []).equals(image.manifest.bytes)).toBe(true)
      const facts = await upstream.statManifest(repository, parseReference('index'))
      expect(facts).toMatchObject({
        digest: index.manifest.descriptor.digest,
        size: index.manifest.bytes.length,
      })
      for (const { descriptor, bytes } of [image.config, ...image.layers]) {
        const start = Math.floor(bytes.length / 3)
        await using blob = await upstream.openBlob(repository, parseDigest(descriptor.digest), { start })
        expect(blob).toMatchObject({ start, size: bytes.length })
        const got = Buffer.concat(await Array.fromAsync(blob?.chunks ?? []))
        expect(got.equals(bytes.subarray(start))).toBe(true)
      }
    })

    test('gives to whoever has no credentials what is for everyone', async () => {
      const upstream = await openWith()
      const given = async (repository: string): Promise<string | undefined> => {
        try {
          return (await upstream.getManifest(parseRepository(repository), tag))?.digest
        } catch (error) {
          expect(error).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'denied' })
          return 'denied'
        }
      }
      const { digest } = image.manifest.descriptor
      expect(await given('public/app')).toBe(auth === 'basic' ? 'denied' : digest)
      expect(await given('team/app')).toBe(auth === undefined ? digest : 'denied')
    })

    test('says when the credentials are not taken, where it asks for any', async () => {
      const upstream = await openWith(wrong)
      const manifest = upstream.getManifest(parseRepository('public/app'), tag)
      if (auth === undefined) {
        expect((await manifest)?.digest).toBe(image.manifest.descriptor.digest)
        return
      }
      await expect(manifest).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'refused' })
      expect(upstream.status().lastError).toContain('does not take the')
      expect(JSON.stringify(upstream.status())).not.toContain(wrong.password)
    })

    test('has nothing where there is nothing', async () => {
      const upstream = await openWith(auth === undefined ? undefined : upstreamUser)
      expect(await upstream.getManifest(parseRepository('team/none'), tag)).toBeUndefined()
      expect(await upstream.statManifest(parseRepository('team/app'), parseReference('none'))).toBeUndefined()
      const digest = parseDigest(image.manifest.descriptor.digest)
      expect(await upstream.listReferrers(parseRepository('team/app'), digest)).toEqual([])
    })
  })
})

describe('an upstream that speaks TLS', requires('openssl'), () => {
  let opened: AsyncDisposableStack
  let fake: FakeUpstream
  let certificateAuthority: string
  const repository = parseRepository('team/app')
  const bytes = Buffer.from('0123456789')
  const digest = parseDigest(sha256(bytes))

  beforeAll(async () => {
    opened = new AsyncDisposableStack()
    const folder = opened.use(await openScratchFolder())
    const { certificate, key } = await makeCertificate(folder.path, ['127.0.0.1'])
    certificateAuthority = await readFile(certificate, 'utf8')
    const tls = { cert: certificateAuthority, key: await readFile(key, 'utf8') }
    fake = opened.use(await openFakeUpstream({ tls }))
    fake.putBlob(repository, bytes)
  })
  afterAll(() => opened?.disposeAsync())

  const open = async (options: Partial<UpstreamOptions> = {}) => {
    const upstream = { name: 'up.test', url: fake.url, certificateAuthority, ...options }
    const all = opened.use(await openUpstreams({ environment: {}, upstreams: [upstream] }))
    return all.find('up.test') as Upstream
  }
  const answerWith = (status: number, headers: Record<string, string>) => {
    fake.intercept = ({ headers: { authorization }, url }, response) => {
      if (status < 400 && url === '/v2/') return false
      if (authorization !== undefined) return false
      response.writeHead(status, headers).end()
      return true
    }
  }

  test('is trusted by the authority that is configured, and by no other name', async () => {
    await using blob = await (await open()).openBlob(repository, digest)
    expect(Buffer.concat(await Array.fromAsync(blob?.chunks ?? []))).toEqual(bytes)
    const byName = new URL(fake.url.href.replace('127.0.0.1', 'localhost'))
    await expect((await open({ url: byName })).openBlob(repository, digest)).rejects.toMatchObject({
      code: 'UPSTREAM_UNAVAILABLE',
      message: 'up.test has a certificate for another name',
    })
  })

  test('is not trusted without it', async () => {
    const all = opened.use(
      await openUpstreams({ environment: {}, upstreams: [{ name: 'up.test', url: fake.url }] }),
    )
    await expect(all.find('up.test')?.openBlob(repository, digest)).rejects.toMatchObject({
      message: 'up.test has a certificate that no trusted authority signed',
    })
  })

  test('is asked through a proxy without being trusted less', async () => {
    const proxy = opened.use(await openFakeProxy(fake))
    const all = opened.use(
      await openUpstreams({
        environment: { https_proxy: proxy.url },
        upstreams: [{ name: 'up.test', url: fake.url, certificateAuthority }],
      }),
    )
    await using blob = await all.find('up.test')?.openBlob(repository, digest)
    expect(Buffer.concat(await Array.fromAsync(blob?.chunks ?? []))).toEqual(bytes)
    expect(new Set(proxy.asked)).toEqual(new Set([fake.url.host]))
  })

  test('cannot lead to where anyone could listen', async () => {
    answerWith(307, { location: fake.url.href.replace('https:', 'http:') })
    await expect((await open()).openBlob(repository, digest)).rejects.toMatchObject({
      message: 'up.test redirects from https:// to http://, which is refused',
    })
  })

  test('cannot have credentials sent where anyone could listen', async () => {
    const realm = fake.url.href.replace('https:', 'http:')
    answerWith(401, { 'www-authenticate': `Bearer realm="${realm}"` })
    const upstream = await open({ credentials: upstreamUser })
    await expect(upstream.openBlob(repository, digest)).rejects.toMatchObject({ trouble: 'refused' })
    await expect((await open()).openBlob(repository, digest)).rejects.toMatchObject({
      message: expect.stringContaining('is not asked over http://'),
    })
  })
})
