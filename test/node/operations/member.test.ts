/** How members are found by what somebody types, named, and listed before a policy approves them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { renderMembers } from '../../../node/commands/members.ts'
import { rotateToken } from '../../../node/operations/cluster.ts'
import { approveMember, findMember, onNode } from '../../../node/operations/member.ts'
import type { OperationContext } from '../../../node/operations/operations.ts'
import { identity } from '../../records/fixture.ts'
import { type OperatedNode, openOperatedNode } from './fixture.ts'

const [ann, bob] = [identity(1).peerId, identity(2).peerId]
/** That of every id of an Ed25519 key. */
const common = '12D3KooW'

let node: OperatedNode
beforeEach(async () => {
  node = await openOperatedNode(['--name', 'here'])
})
afterEach(() => node[Symbol.asyncDispose]())

const self = (): string => node.node.membership.identity.peerId
const rename = (who: string, name: string) => node.perform('member-rename', { who, name })
const nameOf = (peer: string): string | undefined => node.node.names.roster().entries.get(peer)?.name

describe('a member', () => {
  beforeEach(async () => {
    for (const who of [ann, bob]) await node.perform('member-approve', { who })
    await rename(ann, 'ann')
  })

  it.each<[string, string, string]>([
    ['its id', ann, ann],
    ['the beginning of it', ann.slice(0, 12), ann],
    ['the beginning of what no other id has', ann.slice(common.length, 14), ann],
    ['its name', 'ann', ann],
  ])('is found by %s', async (_, who, peer) => {
    expect(await rename(who, 'found')).toEqual({ peer })
    expect([nameOf(ann), nameOf(bob)]).toEqual(['found', undefined])
  })

  it('is found by the name that this node has by itself', async () => {
    expect(await node.perform('member-approve', { who: 'here' })).toEqual({ peer: self() })
  })

  it.each<[string, () => string, string]>([
    ['what all ids begin with', () => common, 'may be'],
    ['less than four letters', () => ann.slice(common.length, common.length + 3), 'nobody goes by'],
    ['another’s name in other letters', () => 'Ann', 'nobody goes by'],
    ['nothing', () => '', 'nobody goes by'],
  ])('is not found by %s', async (_, who, why) => {
    await expect(rename(who(), 'x')).rejects.toMatchObject({
      code: 'MEMBER',
      message: expect.stringContaining(why),
    })
    expect([nameOf(ann), nameOf(bob)]).toEqual(['ann', undefined])
  })

  it.each([
    ['rename', (name: string) => rename(bob, name)],
    ['approve', (name: string) => node.perform('member-approve', { who: bob, name })],
  ])('is given no name that another has, by %s', async (_, give) => {
    for (const [name, bearer] of [
      ['ann', ann],
      ['here', self()],
    ] as const)
      await expect(give(name)).rejects.toMatchObject({
        code: 'MEMBER',
        message: expect.stringContaining(bearer),
      })
    expect(nameOf(bob)).toBeUndefined()
    await rename(ann, 'ann')
    await rename(ann, 'first')
    await give('ann')
    expect([nameOf(ann), nameOf(bob)]).toEqual(['first', 'ann'])
  })

  it('keeps its name from a guest that calls itself the same, which is approved without it', async () => {
    await node.perform('policy-set', { policy: { members: 'approved' } })
    const guest = { peer: identity(3).peerId, name: 'ann', from: '192.0.2.1', sinceMs: 1, seenMs: 1 }
    const swarm = { members: { list: () => [], known: async () => [] } }
    const member = { swarm, guests: () => [{ ...guest, isInvited: false }] }
    const context = { ...node, member } as unknown as OperationContext
    const none = (): void => undefined
    const options = { signal: AbortSignal.timeout(30_000) }
    const found = async (who: string) => await findMember(context, { who }, none, options)
    expect(await found('ann')).toMatchObject({ peer: ann, name: 'ann' })
    expect(await found(guest.peer)).toMatchObject({ peer: guest.peer, name: 'ann', taken: ann })
    await onNode(approveMember)(context, { who: guest.peer }, none, options)
    expect(nameOf(guest.peer)).toBeUndefined()
    expect(node.node.names.roster().isMember(guest.peer)).toBe(true)
  })

  it('is not found by a name that two have, and the answer names both', async () => {
    // As two administrators can at once.
    await node.node.names.publishAsAuthority([{ kind: 'member', peer: bob, value: { name: 'ann' } }])
    const refused = expect(rename('ann', 'x')).rejects
    await refused.toMatchObject({ code: 'MEMBER', message: expect.stringContaining(bob) })
    expect(await rename(bob, 'bob')).toEqual({ peer: bob })
  })

  it('is renamed and stays what it was', async () => {
    const before = node.node.names.roster().entries.get(ann)
    await rename('ann', 'Build.host-1')
    expect(node.node.names.roster().entries.get(ann)).toEqual({ ...before, name: 'Build.host-1' })
    const { members } = await node.perform('members', {})
    expect(members.find(({ peer }) => peer === ann)?.name).toBe('Build.host-1')
  })

  it.each(['', '-a', 'a b', 'a\u001b[2J', 'x'.repeat(65), bob])('is not called %j', async (name) => {
    await expect(rename(ann, name)).rejects.toMatchObject({ code: 'MEMBER' })
    expect(nameOf(ann)).toBe('ann')
  })

  it('that was forgotten and is back gets the new secret, and one that is away does not', async () => {
    for (const who of [ann, bob]) await node.perform('member-forget', { who })
    const swarm = {
      members: { list: () => [{ peer: ann }], known: async () => [ann, bob] },
      addresses: () => [],
    }
    const context = { ...node, member: { swarm } } as unknown as OperationContext
    const options = { signal: AbortSignal.timeout(30_000) }
    const { members } = await rotateToken(context, { graceMs: 1000 }, () => undefined, options)
    expect(members).toEqual([ann])
  })

  it('that is banned is approved by nobody, and found to lift that', async () => {
    await node.perform('member-ban', { who: 'ann', banned: true })
    await expect(node.perform('member-approve', { who: 'ann' })).rejects.toThrow('banned')
    expect((await node.perform('member-ban', { who: 'ann', banned: false })).policy.banned).toEqual([])
  })

  it('that is banned, or not, already is said to be so, and no policy is signed for it', async () => {
    const policy = () => node.node.names.findRecord({ kind: 'policy' })
    expect(await node.perform('member-ban', { who: 'ann', banned: false })).toMatchObject({ changed: false })
    expect(policy()).toBeUndefined()
    expect(await node.perform('member-ban', { who: 'ann', banned: true })).toMatchObject({ changed: true })
    const signed = policy()
    expect(await node.perform('member-ban', { who: 'ann', banned: true })).toMatchObject({ changed: false })
    expect(policy()).toEqual(signed)
    expect(await node.perform('member-ban', { who: 'ann', banned: true, drop: true })).toMatchObject({
      changed: true,
    })
    expect(policy()).not.toEqual(signed)
  })
})

describe('a plan of a policy', () => {
  const plan = async (policy: unknown): Promise<string[]> => {
    const { approves } = await node.perform('policy-plan', { policy })
    return approves.map(({ peer }) => peer)
  }

  it('lists whom the policy would approve, and changes nothing', async () => {
    expect(await plan({ members: 'approved' })).toEqual([self()])
    expect(node.node.names.policy().members).toBeUndefined()
    await node.perform('policy-set', { policy: { members: 'approved' } })
    const approved = [...node.node.names.roster().entries.values()].filter(({ isApproved }) => isApproved)
    expect(approved.map(({ peer }) => peer)).toEqual([self()])
  })

  it.each([[{}], [{ members: 'token' }]])('lists nobody for %j', async (policy) => {
    expect(await plan(policy)).toEqual([])
  })

  it('lists nobody where members have to be approved already', async () => {
    await node.perform('policy-set', { policy: { members: 'approved' } })
    expect(await plan({ members: 'approved' })).toEqual([])
  })

  it('refuses what is no policy, as setting it does', async () => {
    for (const name of ['policy-plan', 'policy-set'] as const)
      await expect(node.perform(name, { policy: { members: 'all' } })).rejects.toMatchObject({
        code: 'POLICY_FILE',
      })
  })
})

it('are listed below a sentence that says who becomes one', async () => {
  const listed = await node.perform('members', {})
  expect(renderMembers(listed)).toMatch(
    /^Whoever has the token becomes a member\.\n\nNAME +STATE +SINCE \(UTC\) +SITE +ID\nhere /,
  )
  expect(renderMembers({ ...listed, mode: 'approved' })).toMatch(
    /^Who comes .* guest until shoal member approve\./,
  )
})
