/** Who sees and changes what on the page: by an account, by rules, and by what a browser may be made to send. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type {
  AccountRow,
  ExplainAnswer,
  MadeRobotAnswer,
  MeAnswer,
} from '../../../node/page/answers/access.ts'
import type { Rows } from '../../../node/page/answers/answer.ts'
import type { ImageAnswer, RepositoryRow } from '../../../node/page/answers/images.ts'
import type { StateEvent } from '../../../node/page/answers/live.ts'
import type { Repository, Tag } from '../../../src/oci/oci.ts'
import type { AccessRule, AccountValue } from '../../../src/records/records.ts'
import { person } from '../../access/fixture.ts'
import { jsonContent, makeImage } from '../../e2e/image.ts'
import { codeOf, type PageAnswer, type ServedPage, servePage, signInto } from './fixture.ts'

const rules: AccessRule[] = [
  { repositories: '**', who: ['user:root'], may: ['pull', 'push', 'delete', 'admin'] },
  { repositories: 'team/**', who: ['user:ann'], may: ['pull', 'push', 'delete'] },
  { repositories: 'open/**', who: ['anonymous'], may: ['pull'] },
]
const passwords = { root: 'root’s password', ann: 'ann’s password', bob: 'bob’s password' }

let page: ServedPage
beforeEach(async () => {
  page = await servePage()
  const image = makeImage({ seed: 'app', layerBytes: [100] })
  for (const repository of ['team/app', 'open/app', 'other/app'])
    await page.operated.push(repository, '1', image)
})
afterEach(async () => {
  await page[Symbol.asyncDispose]()
})

const set = (access: readonly AccessRule[]) => page.operated.perform('policy-set', { policy: { access } })
const write = (name: string, value: AccountValue | undefined) =>
  page.operated.node.names.publishAsAuthority(async () => [{ kind: 'account', name, value }])

async function populate(access = rules): Promise<void> {
  for (const [name, password] of Object.entries(passwords)) await write(name, person(password))
  await set(access)
}

const signIn = (name: keyof typeof passwords, more: Record<string, string> = {}) =>
  signInto(page, { name, password: passwords[name] }, more)
const me = async (headers: Record<string, string> = {}) =>
  (await page.ask('/api/me', { headers })).json<MeAnswer>()
const namesSeen = async (headers: Record<string, string> = {}) =>
  (await page.ask('/api/repositories', { headers })).json<Rows<RepositoryRow>>().rows.map(({ name }) => name)
/** Without what differs from request to request. */
const told = ({ status, headers: { date: _date, ...headers }, body }: PageAnswer) => ({
  status,
  headers,
  body,
})

const privates = [
  'tags?repository=team/app',
  'search?q=app',
  'image?repository=team/app&reference=1',
  'repositories',
  'live',
]
const overview = ['storage', 'keep', 'upstreams', 'doctor', 'hour']
const administration = ['accounts', 'access']
const accountChanges = ['add', 'robot', 'renew', 'password', 'groups', 'disable', 'rm'].map(
  (name) => `account-${name}`,
)

describe('without accounts and rules', () => {
  it('shows everything to everybody, and has nobody to sign in or to administer', async () => {
    expect(await me()).toMatchObject({
      sees: 'everything',
      administers: false,
      canSignIn: false,
      hasRules: false,
    })
    for (const path of [...privates.slice(0, -1), 'storage', 'keep'])
      expect((await page.ask(`/api/${path}`)).status, path).toBe(200)
    const answer = await page.change('/api/sign-in', { name: 'ann', password: 'x' })
    expect([answer.status, codeOf(answer)]).toEqual([404, 'NO_ACCOUNTS'])
    for (const path of administration) expect((await page.ask(`/api/${path}`)).status).toBe(404)
    for (const path of accountChanges) expect((await page.change(`/api/${path}`, {})).status).toBe(404)
  })
})

describe('who did not sign in', () => {
  it.each(['SIGN_IN'])(
    'is told nothing but to sign in, where nothing is open to everybody (%s)',
    async (code) => {
      await populate(rules.slice(0, 2))
      for (const path of [...privates, ...overview]) {
        const answer = await page.ask(`/api/${path}`)
        expect([answer.status, codeOf(answer)], path).toEqual([401, code])
      }
      expect(await me()).toEqual({
        groups: [],
        sees: 'nothing',
        administers: false,
        admits: false,
        canSignIn: true,
        hasRules: true,
        writesAccounts: true,
        writesPolicy: true,
      })
      expect((await page.ask('/')).status).toBe(200)
      const removal = await page.change('/api/delete-tag', { repository: 'team/app', tag: '1' })
      expect([removal.status, codeOf(removal)]).toEqual([401, code])
    },
  )

  it('sees what everybody may, and what is hidden as what is missing', async () => {
    await populate()
    expect(await namesSeen()).toEqual(['open/app'])
    expect((await page.ask('/api/search?q=app')).json()).toMatchObject({ repositories: ['open/app'] })
    for (const path of ['tags?repository=NAME', 'image?repository=NAME&reference=1']) {
      const hidden = told(await page.ask(`/api/${path.replace('NAME', 'team/app')}`))
      const missing = told(await page.ask(`/api/${path.replace('NAME', 'team/ape')}`))
      expect(hidden).toEqual({ ...missing, body: missing.body.replace('team/ape', 'team/app') })
      expect(hidden.status).toBe(404)
    }
    for (const path of overview) expect((await page.ask(`/api/${path}`)).status).toBe(401)
    const [hidden, missing] = await Promise.all(
      ['team/app', 'team/ape'].map((repository) => page.change('/api/delete-tag', { repository, tag: '1' })),
    )
    expect(hidden?.status).toBe(404)
    expect(hidden?.body.replace('team/app', 'team/ape')).toBe(missing?.body)
  })

  it('changes nothing where everybody may read, and not delete', async () => {
    await set([{ repositories: '**', who: ['anonymous'], may: ['pull', 'push'] }])
    const answer = await page.change('/api/delete-tag', { repository: 'team/app', tag: '1' })
    expect([answer.status, codeOf(answer)]).toEqual([403, 'READ_ONLY'])
    expect((await page.change('/api/collect', {})).status).toBe(403)
  })
})

describe('who signed in', () => {
  beforeEach(() => populate())

  it('sees and deletes what the rules permit, from another host too, and is named in the record of it', async () => {
    const { headers } = await signIn('ann')
    expect(await me(headers)).toMatchObject({ name: 'ann', sees: 'some', administers: false })
    expect(await namesSeen(headers)).toEqual(['open/app', 'team/app'])
    const change = (repository: string) =>
      page.change('/api/delete-tag', { repository, tag: '1' }, { ...headers, Host: '192.0.2.7:80' })
    expect((await change('open/app')).status).toBe(403)
    expect((await change('other/app')).status).toBe(404)
    expect((await change('team/app')).status).toBe(200)
    expect(await namesSeen(headers)).toEqual(['open/app', 'team/app'])
    for (const path of overview) expect(codeOf(await page.ask(`/api/${path}`, { headers }))).toBe('CLOSED')
  })

  it('tags where the rules let them push what they may read, and is named in the record of it', async () => {
    const { headers } = await signIn('ann')
    const tag = (repository: string, toRepository: string) =>
      page.change('/api/tag', { repository, reference: '1', toRepository, toTag: 'new' }, headers)
    const read = await tag('other/app', 'team/app')
    expect([read.status, codeOf(read)]).toEqual([404, 'NAME_UNKNOWN'])
    const push = await tag('team/app', 'open/app')
    expect([push.status, codeOf(push)]).toEqual([403, 'READ_ONLY'])
    expect((await tag('team/app', 'team/copy')).status).toBe(200)
    const { names } = page.operated.node
    expect(await names.findTag('team/copy' as Repository, 'new' as Tag)).toMatchObject({ by: 'ann' })
    expect(push.body).toContain('the account ann may not push to open/app')
    const untaggable = async (who: Record<string, string>) => {
      const image = await page.ask('/api/image?repository=open/app&reference=1', { headers: who })
      return image.json<ImageAnswer>().untaggable
    }
    expect(await untaggable(headers)).toBeUndefined()
    expect(await untaggable((await signIn('bob')).headers)).toBe('the account bob may not push anything')
    expect((await page.change('/api/warm', { repository: 'team/app', reference: '1' }, headers)).status).toBe(
      403,
    )
  })

  it('tells no digest from where they may push but not read', async () => {
    await set([{ repositories: 'other/**', who: ['user:ann'], may: ['push'] }, ...rules])
    const { headers } = await signIn('ann')
    const other = makeImage({ seed: 'secret', layerBytes: [100] })
    await page.operated.push('other/app', '2', other)
    const body = { repository: 'team/app', reference: '1', toRepository: 'other/app', toTag: '2' }
    const tagged = await page.change('/api/tag', body, headers)
    expect(tagged.status).toBe(200)
    expect(tagged.body).not.toContain(other.manifest.descriptor.digest)
  })

  it('is known by a cookie that no script reads and no other site sends', async () => {
    const plain = await signIn('ann')
    expect(plain.cookie).toMatch(
      new RegExp(`^shoal-${page.port}=[\\w-]{43}; Path=/api; HttpOnly; SameSite=Strict$`),
    )
    const behindTls = await signIn('ann', { 'X-Forwarded-Proto': 'https', Host: '192.0.2.7' })
    expect(behindTls.cookie).toContain('; Secure')
  })

  it('is out on every request once signed out, or disabled, or with another password', async () => {
    const first = await signIn('ann')
    const second = await signIn('ann')
    const out = await page.change('/api/sign-out', {}, first.headers)
    expect(out.headers['set-cookie']?.[0]).toContain('Max-Age=0')
    expect((await me(first.headers)).name).toBeUndefined()
    expect((await me(second.headers)).name).toBe('ann')
    await write('ann', { ...person(passwords.ann), disabledMs: 1 })
    expect((await me(second.headers)).name).toBeUndefined()
    await write('ann', person(passwords.ann))
    expect((await me(second.headers)).name).toBeUndefined()
  })

  it.each([
    ['signs out', (headers: Record<string, string>) => page.change('/api/sign-out', {}, headers)],
    ['is disabled', () => write('ann', { ...person(passwords.ann), disabledMs: 1 })],
  ])('is cut off from the events when the account %s', async (_, end) => {
    const { headers } = await signIn('ann')
    const watching = await page.open('/api/live', headers)
    const ended = new Promise((resolve) => watching.once('close', resolve).once('error', resolve))
    watching.resume()
    await end(headers)
    await ended
  })

  it('learns nothing of members and of others’ images from the events', async () => {
    const { headers } = await signIn('ann')
    const digest = makeImage({ seed: 'hidden', layerBytes: [100] })
    await page.operated.push('other/hidden', '1', digest)
    const [layer] = digest.layers
    const watching = await page.open(`/api/live?blob=${layer?.descriptor.digest}`, headers)
    let text = ''
    for await (const chunk of watching.setEncoding('utf8')) {
      text += chunk
      if (text.includes('event: blob')) break
    }
    const state = JSON.parse(/^event: state\ndata: (.*)$/m.exec(text)?.[1] ?? '') as StateEvent
    expect(state).toMatchObject({
      members: [],
      lost: [],
      flows: [],
      transfers: [],
      problems: [],
      revision: 0,
    })
    expect(JSON.parse(/^event: blob\ndata: (.*)$/m.exec(text)?.[1] ?? '')).toEqual({
      digest: layer?.descriptor.digest,
      isHere: false,
      repositories: [],
    })
  })

  it('is told how many members hold an image, and of none which it is, from who pushed it to who has each layer', async () => {
    const image = makeImage({ seed: 'app', layerBytes: [100] })
    const signature = JSON.parse(image.manifest.bytes.toString())
    await page.operated.pushManifest(
      'team/app',
      'signature',
      jsonContent(signature.mediaType, { ...signature, subject: image.manifest.descriptor }),
    )
    page.holders = ['12D3KooWbob', '12D3KooWcarol']
    const self = page.operated.node.membership.identity.peerId
    const paths = ['repositories', 'repositories?order=newest', 'tags?repository=team/app'].concat(
      ['', '&holders=1'].map((more) => `image?repository=team/app&reference=1${more}`),
    )
    const tell = async (headers: Record<string, string>) => {
      const answers: string[] = []
      for (const path of paths) answers.push((await page.ask(`/api/${path}`, { headers })).body)
      return answers
    }
    const told = await tell((await signIn('ann')).headers)
    for (const answer of told) expect(answer).not.toMatch(new RegExp(`12D3KooW|${self}`))
    const seen = JSON.parse(told.at(-1) ?? '') as ImageAnswer
    expect([seen.holders, seen.platforms[0]?.content?.layers[0]?.holders]).toEqual([2, 2])
    expect(seen.referrers).toHaveLength(1)
    const toRoot = await tell((await signIn('root')).headers)
    for (const answer of toRoot) expect(answer).toContain(self)
    expect(JSON.parse(toRoot.at(-1) ?? '')).toMatchObject({ holders: page.holders })
  })

  it('learns of their own rights, and neither of others’ nor by which rule', async () => {
    const { headers } = await signIn('ann')
    const ask = async (query: string) =>
      (await page.ask(`/api/explain?${query}`, { headers })).json<ExplainAnswer>()
    expect(await ask('repository=team/app')).toEqual({
      who: 'ann',
      repository: 'team/app',
      may: ['pull', 'push', 'delete'],
    })
    expect((await ask('repository=team/app&who=root')).who).toBe('ann')
  })

  it('changes their own password with that of before alone, and signs in anew', async () => {
    const { headers } = await signIn('ann')
    const change = (current: string) =>
      page.change('/api/own-password', { current, password: 'a better one' }, headers)
    expect((await change('wrong')).status).toBe(401)
    expect((await change(passwords.ann)).status).toBe(200)
    expect((await me(headers)).name).toBeUndefined()
    const again = await page.change('/api/sign-in', { name: 'ann', password: 'a better one' })
    expect(again.status).toBe(200)
  })

  it('changes no password where what is known of accounts is too old: it may be revoked, and would count again', async () => {
    const { headers } = await signIn('ann')
    page.outdated = 'this node has heard of no member for too long'
    const body = { current: passwords.ann, password: 'a better one' }
    const answer = await page.change('/api/own-password', body, headers)
    expect([answer.status, codeOf(answer)]).toEqual([503, 'UNAVAILABLE'])
    expect((await page.change('/api/sign-in', { name: 'ann', password: passwords.ann })).status).toBe(503)
  })

  it('is refused alike for every reason, and after many tries told when to come again', async () => {
    await write('bob', { ...person(passwords.bob), disabledMs: 1 })
    const tries = [
      { name: 'ann', password: 'wrong' },
      { name: 'nobody', password: 'wrong' },
      { name: 'bob', password: passwords.bob },
    ]
    const answers = []
    for (const body of tries) answers.push(told(await page.change('/api/sign-in', body)))
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    expect(answers[0]?.status).toBe(401)
    expect(answers[0]?.headers['set-cookie']).toBeUndefined()
    let last = await page.change('/api/sign-in', { name: 'ann', password: 'wrong' })
    for (let n = 0; last.status === 401 && n < 30; n++)
      last = await page.change('/api/sign-in', { name: 'ann', password: `wrong ${n}` })
    expect([last.status, codeOf(last)]).toEqual([429, 'TOOMANYREQUESTS'])
    expect(Number(last.headers['retry-after'])).toBeGreaterThan(0)
  })
})

describe('a browser that is misled', () => {
  beforeEach(() => populate())

  it('signs nobody in for a request of another site, or without the page’s token', async () => {
    const body = { name: 'ann', password: passwords.ann }
    for (const more of [
      { Origin: 'http://localhost:1' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'X-Shoal-Token': 'x' },
    ])
      expect((await page.change('/api/sign-in', body, more as Record<string, string>)).status).toBe(403)
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
    expect((await page.change('/api/sign-in', body, form)).status).toBe(415)
  })

  it('changes nothing by its cookie alone, nor does who only knows the page’s part', async () => {
    const { headers } = await signIn('ann')
    for (const name of Object.keys(headers)) {
      const part = { [name]: headers[name] ?? '' }
      expect((await me(part)).name).toBeUndefined()
      expect((await page.change('/api/delete-tag', { repository: 'team/app', tag: '1' }, part)).status).toBe(
        404,
      )
    }
    const { 'X-Shoal-Token': _token, ...without } = { 'X-Shoal-Token': '', ...headers }
    const request = {
      method: 'POST',
      headers: { ...without, 'Content-Type': 'application/json' },
      body: '{}',
    }
    expect(codeOf(await page.ask('/api/delete-tag', request))).toBe('TOKEN')
  })

  it('stays who it is whatever cookie another port of its host sets, and never becomes somebody else', async () => {
    const victim = await signIn('ann')
    const attacker = await signIn('bob')
    const injected = `${attacker.headers.Cookie}; ${victim.headers.Cookie}; ${attacker.headers.Cookie}`
    expect((await me({ ...victim.headers, Cookie: injected })).name).toBe('ann')
    const alone = { ...victim.headers, Cookie: attacker.headers.Cookie ?? '' }
    expect((await me(alone)).name).toBeUndefined()
  })

  it('finds nothing of what it sent in a refusal, however broken it was', async () => {
    const { token } = (await page.ask('/api/token')).json<{ token: string }>()
    const headers = { 'Content-Type': 'application/json', 'X-Shoal-Token': token }
    for (const body of [
      '{"name":"ann","password":"hunter2"',
      '"hunter2"',
      '{"name":"ann","password":["hunter2"]}',
    ]) {
      const answer = await page.ask('/api/sign-in', { method: 'POST', headers, body })
      expect(answer.status).toBe(400)
      expect(JSON.stringify([answer.headers, answer.body])).not.toContain('hunter2')
    }
  })

  it('is given another session at each sign-in, whatever it came with, and the one of before ends', async () => {
    const planted = { Cookie: `shoal-${page.port}=${'A'.repeat(43)}`, 'X-Shoal-Session': 'B'.repeat(43) }
    const first = await signIn('ann', planted)
    expect(first.headers).not.toMatchObject({ Cookie: planted.Cookie })
    expect((await me(planted)).name).toBeUndefined()
    const second = await signIn('ann', first.headers)
    expect((await me(first.headers)).name).toBeUndefined()
    expect((await me(second.headers)).name).toBe('ann')
  })

  it('sends no password over a network that anybody can read', async () => {
    const answer = await page.change(
      '/api/sign-in',
      { name: 'ann', password: passwords.ann },
      { Host: '192.0.2.7:80' },
    )
    expect([answer.status, codeOf(answer)]).toEqual([403, 'UNPROTECTED'])
  })
})

describe('who administers accounts', () => {
  let headers: Record<string, string>
  beforeEach(async () => {
    await populate()
    headers = (await signIn('root')).headers
  })
  const change = (path: string, body: unknown) => page.change(`/api/${path}`, body, headers)
  const accounts = async () => (await page.ask('/api/accounts', { headers })).json<Rows<AccountRow>>().rows

  it('is anybody to whom a rule gives it, and nobody else learns that there is such a thing', async () => {
    const { headers: others } = await signIn('ann')
    for (const asker of [{}, others]) {
      for (const path of administration) {
        const answer = await page.ask(`/api/${path}`, { headers: asker })
        expect([answer.status, codeOf(answer)]).toEqual([404, 'NOT_FOUND'])
      }
      for (const path of accountChanges) {
        const answer = await page.change(
          `/api/${path}`,
          { name: 'ann', groups: [], password: 'eight characters' },
          asker,
        )
        expect([answer.status, codeOf(answer)]).toEqual([404, 'NOT_FOUND'])
      }
    }
    expect((await page.ask('/api/access', { headers })).json()).toEqual({ rules })
    expect((await me(headers)).administers).toBe(true)
  })

  it('makes people and robots, whose secret is told once, and no list has', async () => {
    expect(
      (await change('account-add', { name: 'eve', password: 'eve’s password', groups: ['ci'] })).status,
    ).toBe(200)
    const robot = (
      await change('account-robot', { name: 'deploy', groups: [], note: 'the CI', days: 90 })
    ).json<MadeRobotAnswer>()
    expect(robot).toMatchObject({ name: 'robot$deploy', secret: expect.stringMatching(/^shoal_/) })
    const listed = await accounts()
    expect(listed.map(({ name }) => name)).toEqual(['ann', 'bob', 'eve', 'robot$deploy', 'root'])
    expect(listed.find(({ name }) => name === 'robot$deploy')).toMatchObject({
      note: 'the CI',
      expiresMs: robot.expiresMs,
    })
    for (const proof of [robot.secret, 'password', 'hash', 'salt'])
      expect(JSON.stringify(listed)).not.toContain(proof)
    const renewed = (await change('account-renew', { name: 'robot$deploy' })).json<MadeRobotAnswer>()
    expect(renewed.secret).not.toBe(robot.secret)
  })

  it('sets groups and passwords, disables, enables and removes', async () => {
    const { headers: ofAnn } = await signIn('ann')
    expect((await change('account-groups', { name: 'ann', groups: ['ci', 'ops'] })).status).toBe(200)
    expect((await me(ofAnn)).name).toBeUndefined()
    await change('account-disable', { name: 'ann', disabled: true })
    expect((await accounts()).find(({ name }) => name === 'ann')).toMatchObject({ groups: ['ci', 'ops'] })
    expect((await page.change('/api/sign-in', { name: 'ann', password: passwords.ann })).status).toBe(401)
    await change('account-disable', { name: 'ann', disabled: false })
    await change('account-password', { name: 'ann', password: 'another password' })
    expect((await page.change('/api/sign-in', { name: 'ann', password: 'another password' })).status).toBe(
      200,
    )
    expect((await change('account-rm', { name: 'ann' })).status).toBe(200)
    expect((await accounts()).some(({ name }) => name === 'ann')).toBe(false)
  })

  it('is told which rule decides for whom', async () => {
    const answer = await page.ask('/api/explain?who=ann&repository=team/app', { headers })
    expect(answer.json<ExplainAnswer>().why).toContain('rule 2 is the first that matches')
  })

  it.each([
    ['account-add', { name: 'Eve', password: 'long enough', groups: [] }, 422, 'ACCOUNT'],
    ['account-add', { name: 'ann', password: 'long enough', groups: [] }, 422, 'ACCOUNT'],
    ['account-add', { name: 'eve', groups: [] }, 400, 'BODY'],
    ['account-add', { name: 'eve', password: 'long enough', groups: [1] }, 400, 'BODY'],
    ['account-robot', { name: 'x', groups: [], days: 0 }, 400, 'BODY'],
    ['account-robot', { name: 'x', groups: [], days: 1e9 }, 400, 'BODY'],
    ['account-disable', { name: 'ann', disabled: 'yes' }, 400, 'BODY'],
    ['account-rm', { name: 'nobody' }, 422, 'ACCOUNT'],
  ])('is told what is wrong with %s of %j', async (path, body, status, code) => {
    const answer = await change(path, body)
    expect([answer.status, codeOf(answer)]).toEqual([status, code])
  })

  it('is named in the audit log, as is who was not let in', async () => {
    await change('account-rm', { name: 'bob' })
    await page.change('/api/sign-in', { name: 'ann', password: 'wrong secret' })
    await page.operated.node.audit[Symbol.asyncDispose]()
    const { readFile } = await import('node:fs/promises')
    const text = await readFile(`${page.operated.data}/audit.log`, 'utf8')
    expect(text).toMatch(/"action":"account-rm","account":"root","from":"page 127\.0\.0\.1","name":"bob"/)
    expect(text).toMatch(
      /"action":"sign-in refused","account":"ann","from":"page 127\.0\.0\.1","code":"UNAUTHORIZED"/,
    )
    expect(text).not.toContain('wrong secret')
  })
})
