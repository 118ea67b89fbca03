/** What clients are let do and told, under rules: each attack that other registries have suffered, and each client's ways. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { hashSecret } from '../../src/access/access.ts'
import { digestBytes, mediaTypes, parseDigest, parseRepository, parseTag } from '../../src/oci/oci.ts'
import type { AccessRule, AccountValue } from '../../src/records/records.ts'
import { createListing } from '../../src/registry/listing.ts'
import { basic, person } from '../access/fixture.ts'
import { openMirrorAlone } from '../mirror/alone.ts'
import { FakeUpstream } from '../mirror/fake-upstream.ts'
import { type Answer, type Api, type CallOptions, codesOf, openApi, type PushedImage } from './harness.ts'

const ann = { Authorization: basic('ann', 'ann’s password') }
const bob = { Authorization: basic('bob', 'bob’s password') }
const robot = { Authorization: basic('robot$deploy', 'a secret') }
const docker = { 'User-Agent': 'docker/26.1.5 go/go1.21 UpstreamClient(Docker-Client/26.1.5)' }
const openRules: AccessRule[] = [{ repositories: 'open/**', who: ['anonymous'], may: ['pull'] }]
const rules: AccessRule[] = [
  { repositories: 'team/**', who: ['user:ann'], may: ['pull', 'push', 'delete'] },
  { repositories: 'team/**', who: ['robot:deploy'], may: ['pull', 'push'] },
  { repositories: 'bob/**', who: ['user:bob'], may: ['pull', 'push', 'delete'] },
  ...openRules,
]

let api: Api
let image: PushedImage

async function setRules(access: AccessRule[]): Promise<void> {
  await api.names.setPolicy({ rules: [], immutable: [], sealers: [], banned: [], access })
}
async function setAccount(name: string, value: AccountValue | undefined): Promise<void> {
  await api.names.publish([{ kind: 'account', name, value }])
}
const secretOf = (secret: string): AccountValue => ({ type: 'robot', secret: hashSecret(secret), groups: [] })
const told = ({ status, headers, body }: Answer): unknown => {
  const { date: _date, ...rest } = headers
  return { status, rest, body: body.toString() }
}

beforeAll(async () => {
  api = await openApi()
  image = await api.pushImage('team/app', '1')
  await api.pushImage('open/app', '1', { layers: ['open layer'] })
})
beforeEach(async () => {
  const accounts = {
    ann: person('ann’s password'),
    bob: person('bob’s password'),
    robot$deploy: secretOf('a secret'),
  }
  await api.names.publish(Object.entries(accounts).map(([name, value]) => ({ kind: 'account', name, value })))
  await setRules(rules)
})
afterAll(async () => {
  await api[Symbol.asyncDispose]()
})

const put = (headers: object, path = '/v2/team/app/manifests/2'): Promise<Answer> =>
  api.call('PUT', path, {
    headers: { 'Content-Type': mediaTypes.ociManifest, ...headers },
    body: image.bytes,
  })

describe('a cluster without accounts and rules', () => {
  it('is open to everybody, and looks at no credentials', async () => {
    await using fresh = await openApi()
    const { digest } = await fresh.pushImage('team/app', '1')
    for (const headers of [{}, ann, { Authorization: 'Bearer x' }, docker]) {
      expect((await fresh.call('GET', '/v2/', { headers })).status).toBe(200)
      expect((await fresh.call('GET', '/v2/team/app/manifests/1', { headers })).status).toBe(200)
    }
    expect((await fresh.call('GET', '/token')).status).toBe(404)
    expect((await fresh.call('DELETE', `/v2/team/app/manifests/${digest}`)).status).toBe(202)
  })

  it('stays open with accounts alone, but not to wrong credentials', async () => {
    await setRules([])
    expect((await api.call('GET', '/v2/team/app/manifests/1')).status).toBe(200)
    expect((await api.call('GET', '/v2/team/app/manifests/1', { headers: ann })).status).toBe(200)
    const wrong = { Authorization: basic('ann', 'wrong') }
    expect((await api.call('GET', '/v2/team/app/manifests/1', { headers: wrong })).status).toBe(401)
  })
})

describe('by every route', () => {
  const digest = digestBytes(Buffer.from('x'))
  const routes: [string, string, string, CallOptions?][] = [
    ['pull', 'GET', 'manifests/1'],
    ['pull', 'HEAD', 'manifests/1'],
    ['pull', 'GET', 'tags/list'],
    ['pull', 'GET', `referrers/${digest}`],
    ['pull', 'GET', `blobs/${digest}`],
    ['pull', 'HEAD', `blobs/${digest}`],
    ['push', 'PUT', 'manifests/1', { body: '{}' }],
    ['push', 'POST', 'blobs/uploads/'],
    ['push', 'POST', `blobs/uploads/?digest=${digest}`, { body: 'x' }],
    ['push', 'POST', `blobs/uploads/?mount=${digest}`],
    ['push', 'GET', 'blobs/uploads/some-id'],
    ['push', 'PATCH', 'blobs/uploads/some-id', { body: 'x' }],
    ['push', 'PUT', `blobs/uploads/some-id?digest=${digest}`],
    ['push', 'DELETE', 'blobs/uploads/some-id'],
    ['delete', 'DELETE', 'manifests/1'],
    ['delete', 'DELETE', `manifests/${digest}`],
    ['delete', 'DELETE', `blobs/${digest}`],
  ]

  it.each(routes)('the right to %s is asked for: %s %s', async (right, method, path, options = {}) => {
    const ask = (headers: object) =>
      api.call(method, `/v2/some/app/${path}`, { ...options, headers: { ...headers } })
    await setRules([{ repositories: 'some/app', who: ['user:ann'], may: [right as 'pull'] }])
    expect([200, 201, 202, 204, 400, 404]).toContain((await ask(ann)).status)
    expect((await ask(bob)).status).toBe(403)
    expect((await ask({})).status).toBe(401)
    const others = (['pull', 'push', 'delete'] as const).filter((other) => other !== right)
    await setRules([{ repositories: 'some/app', who: ['user:ann'], may: others }])
    expect((await ask(ann)).status).toBe(403)
  })
})

describe('an attacker', () => {
  it('cannot delete by the right to push', async () => {
    for (const reference of ['1', image.digest]) {
      const answer = await api.call('DELETE', `/v2/team/app/manifests/${reference}`, { headers: robot })
      expect([answer.status, codesOf(answer)]).toEqual([403, ['DENIED']])
    }
    expect((await put(robot)).status).toBe(201)
  })

  it('gets no blob mounted from a repository that it may not read, by name or by digest alone', async () => {
    const [layer = image.config] = image.layers
    for (const query of [`mount=${layer}&from=team/app`, `mount=${layer}`]) {
      const answer = await api.call('POST', `/v2/bob/app/blobs/uploads/?${query}`, { headers: bob })
      expect(answer.status).toBe(202)
    }
    expect((await api.call('HEAD', `/v2/bob/app/blobs/${layer}`, { headers: bob })).status).toBe(404)
    const mine = await api.call('POST', `/v2/team/other/blobs/uploads/?mount=${layer}&from=team/app`, {
      headers: ann,
    })
    expect(mine.status).toBe(201)
  })

  it('gets no blob by naming it in a manifest of its own', async () => {
    const manifest = await api.call('PUT', '/v2/bob/app/manifests/1', {
      headers: { ...bob, 'Content-Type': mediaTypes.ociManifest },
      body: image.bytes,
    })
    expect([manifest.status, codesOf(manifest)]).toEqual([404, ['MANIFEST_BLOB_UNKNOWN']])
    expect((await api.call('GET', `/v2/bob/app/blobs/${image.config}`, { headers: bob })).status).toBe(404)
  })

  it('is told the same of what is hidden and of what is missing', async () => {
    const paths = (repository: string) =>
      [
        'manifests/1',
        'tags/list',
        `blobs/${image.config}`,
        `manifests/${image.digest}`,
        `referrers/${image.digest}`,
      ].map((path) => `/v2/${repository}/${path}`)
    for (const headers of [{}, bob, docker]) {
      for (const [index, hidden] of paths('team/app').entries()) {
        const there = await api.call('GET', hidden, { headers: { ...headers } })
        const missing = await api.call('GET', paths('team/ape')[index] ?? '', { headers: { ...headers } })
        const same = {
          ...(told(missing) as object),
          body: missing.body.toString().replaceAll('team/ape', 'team/app'),
        }
        expect(told(there)).toEqual(same)
      }
    }
  })

  it.each(['/v2/_catalog', '/v2/_catalog?n=1', '/v1/search?q=app', '/v1/search?q=app&n=1'])(
    'finds nothing in %s that it may not read',
    async (path) => {
      for (const headers of [{}, bob]) {
        const { body, headers: answered } = await api.call('GET', path, { headers: { ...headers } })
        expect(body.toString()).toContain('open/app')
        expect(`${body}${answered.link}`).not.toContain('team')
      }
      expect((await api.call('GET', '/v2/_catalog', { headers: ann })).body.toString()).toContain('team/app')
    },
  )

  it('gets page after page of what it may read, and no more', async () => {
    await setRules([])
    for (const name of ['a', 'b', 'c', 'd', 'e'])
      await api.pushImage(`${name === 'c' ? 'team' : 'open'}/${name}`, '1')
    await setRules(rules)
    const seen: string[] = []
    for (let path: string | undefined = '/v2/_catalog?n=2'; path !== undefined; ) {
      const answer: Answer = await api.call('GET', path)
      seen.push(...(answer.json() as { repositories: string[] }).repositories)
      path = /^<(.+)>; rel="next"$/.exec(answer.headers.link?.toString() ?? '')?.[1]
    }
    expect(seen).toEqual(['open/a', 'open/app', 'open/b', 'open/d', 'open/e'])
  })

  it('finds a password or a secret in no answer and no log line', async () => {
    const lines: unknown[] = []
    const write = (...line: unknown[]) => lines.push(line)
    const logger = { debug: write, info: write, warn: write, error: write }
    await using logged = await openApi({ logger })
    await logged.names.publish([{ kind: 'account', name: 'ann', value: person('hunter2-secret') }])
    const answers = []
    for (const password of ['hunter2-secret', 'hunter3-secret']) {
      const headers = { Authorization: basic('ann', password) }
      for (const path of ['/v2/', '/v2/no/app/manifests/1', '/v2/_catalog', '/token', '/v2/%zz/blobs/x'])
        answers.push(await logged.call('GET', path, { headers }))
    }
    const record = logged.names.findRecord({ kind: 'account', name: 'ann' }) ?? new Uint8Array()
    const all = JSON.stringify([lines, answers.map(told)]) + Buffer.from(record).toString('latin1')
    for (const secret of ['hunter2', 'hunter3', Buffer.from('hunter2').toString('base64').slice(0, 8)])
      expect(all).not.toContain(secret)
  })

  it('is out at once when its account is disabled, removed, or has another secret', async () => {
    const pull = () => api.call('GET', '/v2/team/app/manifests/1', { headers: robot })
    expect((await pull()).status).toBe(200)
    await setAccount('robot$deploy', { ...secretOf('a secret'), disabledMs: 1 })
    expect((await pull()).status).toBe(401)
    await setAccount('robot$deploy', secretOf('a secret'))
    expect((await pull()).status).toBe(200)
    await setAccount('robot$deploy', secretOf('another'))
    expect((await pull()).status).toBe(401)
    await setAccount('robot$deploy', undefined)
    expect((await pull()).status).toBe(401)
  })

  it('is told when to come again after many wrong passwords', async () => {
    await using guessed = await openApi()
    await guessed.names.publish([{ kind: 'account', name: 'ann', value: person('right') }])
    const guess = (n: number) =>
      guessed.call('GET', '/v2/team/app/manifests/1', {
        headers: { Authorization: basic('ann', `guess ${n}`) },
      })
    let last = await guess(0)
    for (let n = 1; last.status === 401 && n < 30; n++) last = await guess(n)
    expect([last.status, codesOf(last)]).toEqual([429, ['TOOMANYREQUESTS']])
    expect(Number(last.headers['retry-after'])).toBeGreaterThan(0)
  })
})

describe('a challenge', () => {
  const challengeOf = async (path: string, headers: object = {}) => {
    const { status, headers: answered } = await api.call('GET', path, { headers: { ...headers } })
    return [status, answered['www-authenticate']]
  }
  const plain = 'Basic realm="shoal"'

  it.each([
    ['containerd/1.7', 200],
    ['oras/1.2', 200],
    ['curl/8', 200],
    ['skopeo/1.18.0', 401],
    ['libpod/5.4.2', 401],
    ['Buildah/1.39', 401],
    ['containers/5.34 (github.com/containers/image)', 401],
  ])('at /v2/, where something is open to everybody, of %s: %i', async (agent, status) => {
    expect(await challengeOf('/v2/', { 'User-Agent': agent })).toEqual([
      status,
      status === 401 ? plain : undefined,
    ])
  })

  it('is Basic for everybody where nothing is open to everybody', async () => {
    await setRules(rules.slice(0, -1))
    for (const headers of [{}, docker, { 'User-Agent': 'containerd/1.7' }])
      for (const path of ['/v2/', '/v2/team/app/manifests/1', '/v2/_catalog'])
        expect(await challengeOf(path, headers)).toEqual([401, plain])
    expect((await challengeOf('/v2/', { ...docker, ...ann }))[0]).toBe(200)
  })

  it('comes with what is hidden, and not with what needs another account', async () => {
    expect(await challengeOf('/v2/team/app/manifests/1')).toEqual([401, plain])
    expect(await challengeOf('/v2/team/app/manifests/1', bob)).toEqual([403, undefined])
    expect(await challengeOf('/v2/open/app/manifests/1')).toEqual([200, undefined])
  })

  it('is no challenge to who says by empty credentials that it has none', async () => {
    const headers = { 'User-Agent': 'libpod/5.4.2', Authorization: basic('', '') }
    expect(await challengeOf('/v2/', headers)).toEqual([200, undefined])
    expect(await challengeOf('/v2/open/app/manifests/1', headers)).toEqual([200, undefined])
  })

  it('lets docker in by a token, with an account and without one', async () => {
    const [status, challenge = ''] = await challengeOf('/v2/', { ...docker, Host: 'localhost:5000' })
    expect([status, challenge]).toEqual([401, 'Bearer realm="http://localhost:5000/token",service="shoal"'])
    const tokenOf = async (headers: object, query = '') => {
      const answer = await api.call('GET', `/token?service=shoal${query}`, { headers: { ...headers } })
      expect(answer.headers['cache-control']).toBe('no-store')
      return { ...docker, Authorization: `Bearer ${(answer.json() as { token: string }).token}` }
    }
    const nobody = await tokenOf({})
    expect((await challengeOf('/v2/', nobody))[0]).toBe(200)
    expect((await challengeOf('/v2/open/app/manifests/1', nobody))[0]).toBe(200)
    expect((await challengeOf('/v2/team/app/manifests/1', nobody))[0]).toBe(401)
    const signedIn = await tokenOf(ann, '&account=ann')
    expect((await challengeOf('/v2/team/app/manifests/1', signedIn))[0]).toBe(200)
    // Who stole one keeps it for its quarter of an hour, and not for ever.
    for (const query of ['', '?service=shoal&account=ann', '?scope=repository:team/app:push'])
      expect((await api.call('GET', `/token${query}`, { headers: signedIn })).status, query).toBe(401)
    await setAccount('ann', undefined)
    expect((await challengeOf('/v2/team/app/manifests/1', signedIn))[0]).toBe(401)
    const wrong = { Authorization: basic('bob', 'wrong') }
    expect((await api.call('GET', '/token?account=bob', { headers: wrong })).status).toBe(401)
  })
})

describe('a mirrored name', () => {
  const mirrored: AccessRule[] = [{ repositories: 'docker.io/**', who: ['anonymous'], may: ['pull'] }]
  const foreign = [
    { Authorization: basic('hub-user', 'hub-password') },
    { Authorization: 'Bearer a-token-of-the-hub' },
    { Authorization: basic('ann', 'not ann’s password') },
  ]

  it('is pulled with the credentials of its upstream, which nobody hears of', async () => {
    const lines: unknown[] = []
    const write = (...line: unknown[]) => lines.push(line)
    const hub = new FakeUpstream('docker.io')
    hub.push('library/alpine', '3', 'first')
    await using mirror = await openApi({
      logger: { debug: write, info: write, warn: write, error: write },
      mirror: (parts) => openMirrorAlone({ ...parts, upstreams: [hub], bareNames: false }),
    })
    await mirror.names.publish([{ kind: 'account', name: 'ann', value: person('right') }])
    await mirror.names.setPolicy({ rules: [], immutable: [], sealers: [], banned: [], access: mirrored })
    for (const headers of [{}, ...foreign])
      for (const path of [
        '/v2/docker.io/library/alpine/manifests/3',
        '/v2/library/alpine/manifests/3?ns=docker.io',
      ])
        expect((await mirror.call('GET', path, { headers })).status).toBe(200)
    expect(hub.asked).toEqual(['GET library/alpine:3'])
    expect(JSON.stringify(lines)).not.toContain('hub')
    const own = await mirror.call('GET', '/v2/team/app/manifests/3', { headers: foreign[0] ?? {} })
    expect(own.status).toBe(401)
  })

  it('has no member asked what a bare name means by who may read neither meaning', async () => {
    const asked: string[] = []
    await using mirror = await openApi({
      elsewhere: { askForTag: async (name) => void asked.push(name) },
      mirror: (parts) => openMirrorAlone({ ...parts, upstreams: [new FakeUpstream('docker.io')] }),
    })
    const accounts = { ann: person('ann’s password'), bob: person('bob’s password') }
    await mirror.names.publish(
      Object.entries(accounts).map(([name, value]) => ({ kind: 'account', name, value })),
    )
    const access: AccessRule[] = [{ repositories: 'team/**', who: ['user:ann'], may: ['pull'] }]
    await mirror.names.setPolicy({ rules: [], immutable: [], sealers: [], banned: [], access })
    const pull = async (headers: object) =>
      (await mirror.call('GET', '/v2/team/app/manifests/1', { headers: { ...headers } })).status
    expect([await pull({}), await pull(bob), await pull(foreign[0] ?? {})]).toEqual([401, 403, 401])
    expect(asked).toEqual([])
    // Clients look before they push: what is not there has to be unknown, not denied.
    expect(await pull(ann)).toBe(404)
    expect(asked).toEqual(['team/app'])
  })

  it('is given to docker, which asks for a token with these credentials', async () => {
    const scope = 'scope=repository:library/alpine:pull'
    const [headers = {}] = foreign
    expect((await api.call('GET', `/token?${scope}`, { headers })).status).toBe(200)
    expect((await api.call('GET', `/token?${scope},push`, { headers })).status).toBe(401)
    expect((await api.call('GET', '/token', { headers })).status).toBe(401)
  })

  it('is given to docker however many it pulls with them', async () => {
    await using node = await openApi()
    await node.names.publish([{ kind: 'account', name: 'ann', value: person('ann’s password') }])
    await node.names.setPolicy({ rules: [], immutable: [], sealers: [], banned: [], access: mirrored })
    const ask = async (query: string, headers: object) =>
      (await node.call('GET', `/token${query}`, { headers: { ...headers } })).status
    const pulls: number[] = []
    const ofMany = (n: number) => ({ Authorization: basic(`hub-user-${n}`, 'hub-password') })
    for (let n = 0; n < 50; n++)
      for (const headers of [foreign[0] ?? {}, ofMany(n)])
        pulls.push(await ask(`?scope=repository:library/image-${n}:pull`, headers))
    expect(new Set(pulls)).toEqual(new Set([200]))
    expect(await ask('?scope=repository:team/app:pull,push', ofMany(50))).toBe(429)
  })
})

it('writes in whose name a tag was written into its record', async () => {
  await put(ann)
  const repository = parseRepository('team/app')
  expect(await api.names.findTag(repository, parseTag('2'))).toMatchObject({ by: 'ann' })
  expect(await api.names.findTag(repository, parseTag('1'))).not.toHaveProperty('by')
  expect(await api.names.findManifest(repository, parseDigest(image.digest))).toMatchObject({ by: 'ann' })
})

it('lets others be served while names are looked through for which the rules take long', async () => {
  const names = Array.from({ length: 300 }, (_, n) =>
    parseRepository(`many/name-${String(n).padStart(3, '0')}`),
  )
  const busy = (repository: string): boolean => {
    // As a thousand rules with stars in them: a millisecond for each name.
    for (const endMs = performance.now() + 1; performance.now() < endMs; );
    return repository.endsWith('299')
  }
  const listing = createListing({
    names: { listRepositories: async () => names },
    own: {},
    mirror: {},
  } as never)
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const found = await listing.search('name', 10, busy)
  isOver = true
  expect(found.map(({ name }) => name)).toEqual(['many/name-299'])
  expect(turns).toBeGreaterThan(20)
})

describe('a node that has heard from no member for longer than the policy lets rules count', () => {
  it('answers 503 with the reason to everybody, a robot that was revoked elsewhere among them, until it hears', async () => {
    let problem: string | undefined
    await using alone = await openApi({ contact: { problem: () => problem } })
    const { names } = alone
    await names.setPolicy({ rules: [], immutable: [], sealers: [], banned: [], access: rules })
    await names.publish([{ kind: 'account', name: 'robot$deploy', value: secretOf('a secret') }])
    const ask = async (): Promise<number[]> => [
      (await alone.call('GET', '/v2/team/app/tags/list', { headers: robot })).status,
      (await alone.call('GET', '/v2/open/app/tags/list')).status,
      (await alone.call('GET', '/v2/', { headers: robot })).status,
      (await alone.call('GET', '/v2/_catalog', { headers: robot })).status,
      (await alone.call('GET', '/token?scope=repository:team/app:pull', { headers: robot })).status,
      (await alone.call('POST', '/v2/team/app/blobs/uploads/', { headers: robot })).status,
    ]
    expect(await ask()).toEqual([404, 404, 200, 200, 200, 202])
    problem = 'no member was heard for longer than 24h'
    expect(await ask()).toEqual([503, 503, 503, 503, 503, 503])
    const refused = await alone.call('GET', '/v2/team/app/tags/list', { headers: robot })
    expect(codesOf(refused)).toEqual(['UNAVAILABLE'])
    expect(refused.body.toString()).toContain(problem)
    problem = undefined
    expect(await ask()).toEqual([404, 404, 200, 200, 200, 202])
  })
})
