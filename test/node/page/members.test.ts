/** Members and invitations on the page: who sees them, who changes them, and what the node refuses. */
import { readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { MeAnswer } from '../../../node/page/answers/access.ts'
import type {
  InvitationsAnswer,
  MadeInvitationAnswer,
  MemberRow,
  MembersAnswer,
} from '../../../node/page/answers/members.ts'
import { person } from '../../access/fixture.ts'
import { identity } from '../../records/fixture.ts'
import { codeOf, type ServedPage, servePage, signInto } from './fixture.ts'

const access = [
  { repositories: '**', who: ['user:root'], may: ['pull', 'members'] },
  { repositories: '**', who: ['user:ann'], may: ['pull', 'push', 'delete', 'admin'] },
  { repositories: '**', who: ['user:eve'], may: ['members'] },
  { repositories: 'team/**', who: ['user:bob'], may: ['pull'] },
]
const password = 'a long password'
const [other, third] = [identity(1).peerId, identity(2).peerId]

let page: ServedPage
let root: Record<string, string>
beforeEach(async () => {
  page = await servePage(['--name', 'harbour', '--site', 'north'])
  for (const name of ['root', 'ann', 'bob', 'eve']) {
    const value = person(password)
    await page.operated.node.names.publishAsAuthority(async () => [{ kind: 'account', name, value }])
  }
  await page.operated.perform('policy-set', { policy: { access } })
  root = (await signInto(page, { name: 'root', password })).headers
})
afterEach(() => page[Symbol.asyncDispose]())

const self = (): string => page.operated.node.membership.identity.peerId
const change = (path: string, body: unknown, headers = root) => page.change(`/api/${path}`, body, headers)
const listed = async (): Promise<MemberRow[]> =>
  (await page.ask('/api/members', { headers: root })).json<MembersAnswer>().members
const stateOf = async (peer: string) => (await listed()).find((row) => row.peer === peer)?.state
const invitations = async () =>
  (await page.ask('/api/invitations', { headers: root })).json<InvitationsAnswer>().invitations
const invite = async (body: object = {}) =>
  change('token-create', { expires: '2h', uses: '3', approved: true, site: 'north', ...body })

const changes: [string, object][] = [
  ['member-approve', { peer: other }],
  ['member-ban', { peer: other, banned: true, drop: false }],
  ['member-forget', { peer: other }],
  ['member-rename', { peer: other, name: 'quay' }],
  ['token-create', { expires: '2h', uses: '3', approved: false }],
  ['token-revoke', { id: 'x' }],
]

describe('members on the page', () => {
  it('are listed to who lets hosts in and may read nothing', async () => {
    const { headers: eve } = await signInto(page, { name: 'eve', password })
    const { members } = (await page.ask('/api/members', { headers: eve })).json<MembersAnswer>()
    expect(members.map(({ peer }) => peer)).toEqual([self()])
    expect((await page.ask('/api/repositories', { headers: eve })).status).toBe(403)
  })

  it('are listed to who may read everything, and to nobody else', async () => {
    await change('member-approve', { peer: other, name: 'quay' })
    const { headers: ann } = await signInto(page, { name: 'ann', password })
    const { mode, members } = (await page.ask('/api/members', { headers: ann })).json<MembersAnswer>()
    expect(mode).toBe('token')
    expect(members.toSorted((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1))).toEqual([
      { peer: self(), name: 'harbour', site: 'north', version: page.operated.node.version, state: 'away' },
      expect.objectContaining({ peer: other, name: 'quay', state: 'away' }),
    ])
    const { headers: bob } = await signInto(page, { name: 'bob', password })
    for (const [headers, status] of [
      [bob, 403],
      [{}, 401],
    ] as const)
      expect((await page.ask('/api/members', { headers })).status).toBe(status)
  })

  it('are changed, and invitations shown, by nobody to whom no rule gives members, be that who administers accounts', async () => {
    const { headers: ann } = await signInto(page, { name: 'ann', password })
    const refuses = async (headers: Record<string, string>) => {
      const answers = [await page.ask('/api/invitations', { headers })]
      for (const [path, body] of changes) answers.push(await change(path, body, headers))
      for (const answer of answers) expect([answer.status, codeOf(answer)]).toEqual([404, 'NOT_FOUND'])
    }
    await refuses(ann)
    await refuses({})
    await page.operated.perform('policy-set', { policy: {} })
    await refuses({})
    expect(page.operated.node.names.roster().entries.size).toBe(0)
    expect(page.operated.node.names.roster().invitations.size).toBe(0)
  })

  it('are not changed by another site’s request', async () => {
    for (const headers of [
      { ...root, 'X-Shoal-Token': 'x' },
      { ...root, Origin: 'http://localhost:1' },
      { ...root, 'Sec-Fetch-Site': 'cross-site' },
    ])
      for (const [path, body] of changes) expect((await change(path, body, headers)).status, path).toBe(403)
    expect(await listed()).toHaveLength(1)
    expect(await invitations()).toEqual([])
  })

  it('are approved, named, forgotten, banned, and let back, in the name of who did it', async () => {
    expect((await change('member-approve', { peer: other })).json()).toEqual({ peer: other })
    await change('member-rename', { peer: other, name: 'quay' })
    expect((await listed()).find(({ peer }) => peer === other)?.name).toBe('quay')
    await change('member-forget', { peer: other })
    expect(await stateOf(other)).toBe('gone')
    await change('member-ban', { peer: other, banned: true, drop: false })
    expect(await stateOf(other)).toBe('banned')
    const refused = await change('member-approve', { peer: other })
    expect([refused.status, codeOf(refused)]).toEqual([422, 'MEMBER'])
    await change('member-ban', { peer: other, banned: false, drop: false })
    expect(await stateOf(other)).toBe('gone')
    await change('member-approve', { peer: other })
    expect(await stateOf(other)).toBe('away')
    await page.operated.node.audit[Symbol.asyncDispose]()
    const text = await readFile(`${page.operated.data}/audit.log`, 'utf8')
    for (const action of ['member-approve', 'member-rename', 'member-forget', 'member-ban'])
      expect(text).toMatch(new RegExp(`"action":"${action}","account":"root","from":"page 127`))
  })

  it('are invited by a token that is told once, and no list has', async () => {
    const made = (await invite()).json<MadeInvitationAnswer>()
    expect(made.token).toMatch(/^shoal/)
    const [row, ...others] = await invitations()
    expect(others).toEqual([])
    expect(row).toEqual(made.invitation)
    expect(row).toMatchObject({ uses: 3, admitted: [], isApproved: true, site: 'north' })
    expect((row?.expiresMs ?? 0) - Date.now()).toBeGreaterThan(3_600_000)
    expect(JSON.stringify(row)).not.toContain(made.token)
    const revoked = await change('token-revoke', { id: made.invitation.id })
    expect([revoked.status, typeof (await invitations())[0]?.revokedMs]).toEqual([200, 'number'])
  })

  it('cannot be changed where what the node signs does not count, which the page is told', async () => {
    const me = async () => (await page.ask('/api/me', { headers: root })).json<MeAnswer>()
    expect(await me()).toMatchObject({
      admits: true,
      administers: false,
      writesAccounts: true,
      writesPolicy: true,
    })
    await page.operated.perform('authority-export', { drop: true })
    expect(await me()).toMatchObject({
      admits: true,
      administers: false,
      writesAccounts: false,
      writesPolicy: false,
    })
    for (const [path, body] of changes.slice(0, -1)) {
      const answer = await change(path, body)
      expect([path, answer.status, codeOf(answer)]).toEqual([path, 403, 'NOT_PERMITTED'])
    }
    expect(await listed()).toHaveLength(1)
  })

  it('are refused with what is wrong', async () => {
    const wrong: [string, object, number, string][] = [
      ['member-approve', {}, 400, 'BODY'],
      ['member-approve', { peer: 'nobody' }, 422, 'MEMBER'],
      ['member-rename', { peer: third, name: '<b>' }, 422, 'MEMBER'],
      ['member-ban', { peer: third, banned: 'yes', drop: false }, 400, 'BODY'],
      ['token-create', { expires: '0s', uses: '1', approved: false }, 400, 'BODY'],
      ['token-create', { expires: 'soon', uses: '1', approved: false }, 400, 'BODY'],
      ['token-create', { expires: '400000d', uses: '1', approved: false }, 422, 'INVITATION'],
      ['token-create', { expires: '1h', uses: '0', approved: false }, 400, 'BODY'],
      ['token-create', { expires: '1h', uses: '100000', approved: false }, 422, 'INVITATION'],
      ['token-create', { expires: '1h', uses: '1', approved: false, site: 'A B' }, 400, 'BODY'],
      ['token-create', { expires: '1h', uses: '1' }, 400, 'BODY'],
      ['token-revoke', { id: 'nothing' }, 422, 'INVITATION'],
      ['token-revoke', { id: '' }, 422, 'INVITATION'],
    ]
    for (const [path, body, status, code] of wrong) {
      const answer = await change(path, body)
      expect([path, body, answer.status, codeOf(answer)]).toEqual([path, body, status, code])
    }
  })

  it('are not banned where that would be the node that signs the ban', async () => {
    const answer = await change('member-ban', { peer: self(), banned: true, drop: false })
    expect([answer.status, codeOf(answer)]).toEqual([422, 'BAN_OF_SELF'])
    expect(page.operated.node.names.policy().banned).toEqual([])
  })
})
