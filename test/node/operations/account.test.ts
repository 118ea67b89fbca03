/** What `shoal account` and `shoal access` ask of a node. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { unruledProblem } from '../../../node/network-access.ts'
import { openAccess } from '../../../src/access/access.ts'
import { basic } from '../../access/fixture.ts'
import { type OperatedNode, openOperatedNode } from './fixture.ts'

let operated: OperatedNode
beforeEach(async () => {
  operated = await openOperatedNode()
})
afterEach(async () => {
  await operated[Symbol.asyncDispose]()
})

const add = (name: string, password = 'a password', groups: string[] = []) =>
  operated.perform('account-add', { name, password, groups })
async function signsIn(name: string, password: string): Promise<boolean> {
  using access = await openAccess({ names: operated.node.names })
  try {
    return (await access.identify(basic(name, password), 'here')).name === name
  } catch {
    return false
  }
}

describe('shoal account', () => {
  it('makes people, who sign in, and lists them without what proves who they are', async () => {
    await add('ann', 'first password', ['developers'])
    expect(await signsIn('ann', 'first password')).toBe(true)
    await operated.perform('account-password', { name: 'ann', password: 'second password' })
    expect([await signsIn('ann', 'first password'), await signsIn('ann', 'second password')]).toEqual([
      false,
      true,
    ])
    const { accounts } = await operated.perform('account-ls', {})
    expect(accounts).toEqual([
      {
        name: 'ann',
        type: 'person',
        groups: ['developers'],
        writtenMs: expect.any(Number),
        author: expect.any(String),
      },
    ])
  })

  it('makes robots, tells their secret once, and renews it with all else kept', async () => {
    const expiresMs = Date.now() + 3_600_000
    const made = await operated.perform('account-robot', {
      name: 'deploy',
      groups: [],
      expiresMs,
      note: 'CI',
    })
    const secret = expect.stringMatching(/^shoal_/)
    expect(made).toEqual({ name: 'robot$deploy', secret, expiresMs, hasRules: false })
    expect(await signsIn(made.name, made.secret)).toBe(true)
    const renewed = await operated.perform('account-renew', { name: made.name })
    expect([await signsIn(made.name, made.secret), await signsIn(made.name, renewed.secret)]).toEqual([
      false,
      true,
    ])
    const listed = await operated.perform('account-ls', {})
    expect(listed.accounts).toMatchObject([{ name: 'robot$deploy', expiresMs, note: 'CI' }])
    expect(JSON.stringify(listed)).not.toContain(renewed.secret)
  })

  it('says whether there are access rules, without which an account closes nothing', async () => {
    expect(await add('ann')).toMatchObject({ hasRules: false })
    expect(await unruledProblem(operated.node.names)).toContain('with an account or without')
    const access = [{ repositories: '**', who: ['anyone'], may: ['pull' as const] }]
    await operated.perform('policy-set', { policy: { access } })
    expect(await add('bob')).toMatchObject({ hasRules: true })
    expect(await unruledProblem(operated.node.names)).toBeUndefined()
  })

  it('renews no secret of a robot that has expired, but with a new end', async () => {
    const made = await operated.perform('account-robot', { name: 'deploy', groups: [], expiresMs: 1 })
    await expect(operated.perform('account-renew', { name: made.name })).rejects.toThrow('has expired')
    const expiresMs = Date.now() + 3_600_000
    const renewed = await operated.perform('account-renew', { name: made.name, expiresMs })
    expect(renewed).toMatchObject({ expiresMs })
    expect(await signsIn(made.name, renewed.secret)).toBe(true)
  })

  it('disables, enables, regroups and removes', async () => {
    await add('ann', 'p of eight')
    await operated.perform('account-disable', { name: 'ann', disabled: true })
    expect(await signsIn('ann', 'p of eight')).toBe(false)
    await operated.perform('account-disable', { name: 'ann', disabled: false })
    expect(await signsIn('ann', 'p of eight')).toBe(true)
    expect(await operated.perform('account-groups', { name: 'ann', groups: ['ci'] })).toMatchObject({
      groups: ['ci'],
    })
    await operated.perform('account-rm', { name: 'ann' })
    expect(await signsIn('ann', 'p of eight')).toBe(false)
    await add('ann', 'another one')
    expect([await signsIn('ann', 'p of eight'), await signsIn('ann', 'another one')]).toEqual([false, true])
  })

  it.each<[string, () => Promise<unknown>]>([
    ['a second account of a name', () => add('ann').then(() => add('ann'))],
    ['a name that no account can have', () => add('Ann Smith')],
    ['a robot’s name for a person', () => add('robot$ann')],
    ['an empty password', () => add('ann', '')],
    ['a short password', () => add('ann', 'seven77')],
    ['one that is short in characters, if not in bytes', () => add('ann', '🐟🐟🐟🐟🐟🐟🐟')],
    [
      'a short password in place of a long one',
      () => add('ann').then(() => operated.perform('account-password', { name: 'ann', password: 'short' })),
    ],
    ['a password that is a book', () => add('ann', 'x'.repeat(100_000))],
    ['a group that no rule can name', () => add('ann', 'p of eight', ['a b'])],
    [
      'a password for a robot',
      async () => {
        await operated.perform('account-robot', { name: 'deploy', groups: [] })
        await operated.perform('account-password', { name: 'robot$deploy', password: 'p of eight' })
      },
    ],
    [
      'a change of what there is not',
      () => operated.perform('account-disable', { name: 'bob', disabled: true }),
    ],
  ])('refuses %s', async (_, attempt) => {
    await expect(attempt()).rejects.toMatchObject({ code: 'ACCOUNT' })
  })
})

it.each([
  ['127.0.0.1:5050', 'localhost:5050'],
  ['0.0.0.0:443', 'localhost:443'],
  ['[::]:5000', 'localhost:5000'],
  ['192.0.2.7:5000', '192.0.2.7:5000'],
])('says by which name docker signs in to a node at %s', async (http, registry) => {
  await using there = await openOperatedNode(['--http', http])
  const made = await there.perform('account-add', { name: 'ann', password: 'a password', groups: [] })
  expect(made.registry).toBe(registry)
})

it('says that nobody is let in at a node for other hosts without rules', async () => {
  await using there = await openOperatedNode(['--http', '0.0.0.0:5000'])
  const { may, why } = await there.perform('access-explain', { who: 'anonymous', repository: 'team/app' })
  expect(may).toEqual([])
  expect(why).toContain('nobody is let in at 0.0.0.0; set rules')
})

describe('the policy’s access rules', () => {
  const set = (access: unknown) => operated.perform('policy-set', { policy: { access } })

  it('are explained for an account, and for what a rule can name', async () => {
    await add('ann', 'p of eight', ['ci'])
    await set([
      { repositories: 'docker.io/**', who: ['anonymous'], may: ['pull'] },
      { repositories: 'team/**', who: ['group:ci'], may: ['pull', 'push'] },
    ])
    const explained = async (who: string, repository: string) =>
      (await operated.perform('access-explain', { who, repository })).may
    expect(await explained('ann', 'team/app')).toEqual(['pull', 'push'])
    expect(await explained('user:ann', 'docker.io/library/alpine')).toEqual(['pull'])
    expect(await explained('group:ci', 'team/app')).toEqual(['pull', 'push'])
    expect(await explained('anonymous', 'team/app')).toEqual([])
    expect(await explained('anyone', 'other')).toEqual([])
    await expect(explained('bob', 'team/app')).rejects.toMatchObject({ code: 'ACCOUNT' })
    await expect(explained('ann', 'Team')).rejects.toMatchObject({ code: 'NAME_INVALID' })
  })

  it.each([
    ['a right that there is not', [{ repositories: '**', who: ['anyone'], may: ['pul'] }]],
    ['a word that there is not', [{ repositories: '**', who: ['anyone'], may: [], tags: '*' }]],
    ['no pattern', [{ who: ['anyone'], may: [] }]],
    ['an empty pattern', [{ repositories: '', who: ['anyone'], may: [] }]],
  ])('are not set with %s', async (_, access) => {
    await expect(set(access)).rejects.toMatchObject({ code: 'POLICY_FILE' })
  })

  it('give nothing to an account that cannot sign in, and it is said why', async () => {
    await add('ann')
    await operated.perform('account-disable', { name: 'ann', disabled: true })
    await operated.perform('account-robot', { name: 'old', groups: [], expiresMs: Date.now() - 1 })
    const explain = (who: string) => operated.perform('access-explain', { who, repository: 'team/app' })
    expect(await explain('ann')).toMatchObject({
      may: [],
      why: 'the account is disabled, and nobody can sign in with it; otherwise pull, push, delete: the policy has no access rules, so everybody may everything',
    })
    expect(await explain('robot:old')).toMatchObject({ may: [], why: expect.stringContaining('has expired') })
    await operated.perform('account-disable', { name: 'ann', disabled: false })
    expect(await explain('ann')).toMatchObject({ may: ['pull', 'push', 'delete'] })
  })

  it('stay when a member is banned', async () => {
    const access = [{ repositories: '**', who: ['anyone'], may: ['pull'] }]
    await set(access)
    const peer = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
    expect(await operated.perform('policy-ban', { peer, banned: true })).toMatchObject({
      access,
      banned: [peer],
    })
  })
})
