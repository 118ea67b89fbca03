/** Newcomers: who is let in, and what those get who are not. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { activityProtocol } from '../../node/cluster/activity.ts'
import { askProtocol, reconcileProtocol } from '../../node/cluster/protocols.ts'
import { createInvitation, revokeInvitation } from '../../node/operations/invitation.ts'
import { approveMember, banMember, forgetMember, listMembers, onNode } from '../../node/operations/member.ts'
import type { OperationContext, OperationTypes } from '../../node/operations/operations.ts'
import { setPolicy } from '../../node/operations/policy.ts'
import { type Logger, silentLogger, steadyClock } from '../../src/base/base.ts'
import { exchangeProtocol } from '../../src/exchange/protocol/messages.ts'
import { mirrorProtocol } from '../../src/mirror/messages.ts'
import { signRecord } from '../../src/records/record.ts'
import {
  admissionProtocol,
  introductionMessage,
  verdictMessage,
} from '../../src/swarm/members/admission-messages.ts'
import { createClones } from '../../src/swarm/members/clones.ts'
import { policyProtocol } from '../../src/swarm/members/farewell.ts'
import { rotationProtocol } from '../../src/swarm/members/handover.ts'
import { pulseProtocol } from '../../src/swarm/members/pulse.ts'
import { statusProtocol, statusRequest } from '../../src/swarm/members/status-message.ts'
import { channelOver } from '../../src/swarm/streams/channel.ts'
import { dhtProtocol } from '../../src/swarm/streams/libp2p-node.ts'
import { tokenOf } from '../../src/swarm/swarm.ts'
import type { Channel } from '../../src/wire/wire.ts'
import { tagChange } from '../records/fixture.ts'
import { until } from '../swarm/fixture.ts'
import { type HonestNode, openHonestNode } from './honest-node.ts'
import { type HostileMember, newIdentity, openHostileMember } from './member.ts'

let stack: AsyncDisposableStack
let first: HonestNode
let warned: string[]
const logs: Logger = { ...silentLogger, warn: (_fields, line) => void warned.push(line) }
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  warned = []
  first = await openHonestNode(stack, { flags: ['--name', 'first'], logger: logs })
})
afterEach(async () => {
  await stack.disposeAsync()
})

const { signal } = new AbortController()
function contextOf({ node, member }: HonestNode): OperationContext {
  return { node, member, registry: {} } as unknown as OperationContext
}
const none = (): void => undefined
type Invited = Partial<OperationTypes['token-create']['params']>

async function invite(more: Invited = {}, at = first) {
  const params = { expiresMs: 3600_000, uses: 1, approved: false, ...more }
  return await createInvitation(contextOf(at), params, none, { signal })
}
const close = async (): Promise<unknown> =>
  await setPolicy(contextOf(first), { policy: { members: 'approved' } }, none, { signal })
const approve = async (who: string): Promise<unknown> =>
  await onNode(approveMember)(contextOf(first), { who }, none, { signal })
const tokenFrom = ({ node, member }: HonestNode): string =>
  tokenOf(node.membership.secrets.cluster(), member.swarm.addresses())
const knows = (a: HonestNode, b: HonestNode): boolean => a.peers().includes(b.peer)
const met = (a: HonestNode, b: HonestNode): boolean => knows(a, b) && knows(b, a)
const problemsOf = ({ member }: HonestNode): string => member.problems().join()
const secretOf = ({ node }: HonestNode): string =>
  Buffer.from(node.membership.secrets.cluster().secret).toString('hex')

describe('an invitation', () => {
  it('makes a member of as many nodes as it has uses, which go on without it, and tells others that it is used up', async () => {
    const { token, invitation } = await invite()
    const second = await openHonestNode(stack, { token, flags: ['--name', 'second'] })
    await until('the two to meet', () => met(first, second))
    expect(secretOf(second)).toBe(secretOf(first))
    expect(second.member.problems()).toEqual([])
    const late = await openHonestNode(stack, { token })
    await until('it to be told', () => problemsOf(late).includes('used up'))
    expect([knows(first, late), secretOf(late) === secretOf(first)]).toEqual([false, false])
    expect(first.names.roster().invitations.get(invitation.id)?.admitted).toEqual([second.peer])
    // What it writes reaches nobody.
    await late.names.publish([tagChange('team/app', 'late', 'x')])
    expect(first.names.roster().entries.get(second.peer)?.name).toBe('second')
  })

  it('can be used again by the node that came with it, and be redeemed at any member', async () => {
    const { token } = await invite({ uses: 2 })
    const second = await openHonestNode(stack, { token })
    await until('the two to meet', () => met(first, second))
    const { data } = second.node.settings
    await second.member[Symbol.asyncDispose]()
    await second.node[Symbol.asyncDispose]()
    const again = await openHonestNode(stack, { token, data })
    await until('it to be back', () => met(first, again))
    const third = await openHonestNode(stack, { token: await tokenAt(again, token) })
    await until('the third to be a member', () => met(third, again))
    await until('all to know', () =>
      [first, again, third].every(
        ({ names }) => [...names.roster().invitations.values()][0]?.admitted.length === 2,
      ),
    )
  })

  it.each<[string, () => Promise<string>, string]>([
    ['expired', async () => (await invite({ expiresMs: 0 })).token, 'expired'],
    ['revoked', revoked, 'revoked'],
    ['for another site', async () => (await invite({ site: 'berlin' })).token, 'site berlin'],
  ])('lets nobody in that is %s', async (_name, make, why) => {
    const late = await openHonestNode(stack, { token: await make() })
    await until('it to be told', () => problemsOf(late).includes(why))
    expect(knows(first, late)).toBe(false)
  })

  it('is made by nobody who may not', async () => {
    const second = await openHonestNode(stack, { join: first })
    await until('the two to meet', () => met(first, second))
    await expect(invite({}, second)).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  })
})

/** The same invitation with that node's addresses alone. */
async function tokenAt({ member }: HonestNode, token: string): Promise<string> {
  const { parseToken } = await import('../../src/swarm/swarm.ts')
  return tokenOf({ ...parseToken(token), bootstrap: [] }, member.swarm.addresses())
}

async function revoked(): Promise<string> {
  const { token, invitation } = await invite()
  await revokeInvitation(contextOf(first), { id: invitation.id.slice(0, 6) }, none, { signal })
  return token
}

describe('where members have to be approved', () => {
  it('those that are there stay, and a newcomer with the token is a guest until it is approved', async () => {
    const second = await openHonestNode(stack, { join: first })
    await until('the two to meet', () => met(first, second))
    await close()
    await until('it to know', () => second.names.policy().members === 'approved')
    const guest = await openHonestNode(stack, { join: first, flags: ['--name', 'third'] })
    await until('it to be told', () => problemsOf(guest).includes('has to be approved'))
    await guest.names.publish([tagChange('team/app', 'of-guest', 'x')])
    await second.names.publish([tagChange('team/app', 'of-second', 'x')])
    await until('the members to be as before', () => met(first, second))
    const { members } = await listMembers(contextOf(first), {}, none, { signal })
    expect(members.map(({ state, name }) => [state, name])).toContainEqual(['guest', 'third'])
    expect(knows(first, guest) || knows(second, guest)).toBe(false)
    await approve('third')
    await until('it to be a member', () => met(first, guest) && met(second, guest))
    expect(problemsOf(guest)).toBe('')
    const tags = async ({ names }: HonestNode): Promise<unknown> => [...(await recordedTags(names))].sort()
    await until('all to have both tags', async () =>
      (await Promise.all([first, second, guest].map(tags))).every(
        (one) => String(one) === 'of-guest,of-second',
      ),
    )
  })

  it('one with an invitation waits as well, and gets the secret when it is approved', async () => {
    await close()
    const { token } = await invite()
    const guest = await openHonestNode(stack, { token })
    await until('it to be told', () => problemsOf(guest).includes('has to be approved'))
    expect(secretOf(guest)).not.toBe(secretOf(first))
    await approve(guest.peer)
    await until('it to be a member', () => met(first, guest))
    expect(secretOf(guest)).toBe(secretOf(first))
  })

  it('one with an invitation that carries approval does not wait', async () => {
    await close()
    const { token } = await invite({ approved: true })
    const second = await openHonestNode(stack, { token })
    await until('it to be a member', () => met(first, second))
    expect(first.names.isGuest(second.peer)).toBe(false)
  })

  it('a banned member that comes with a new key stays outside', async () => {
    const second = await openHonestNode(stack, { join: first })
    await until('the two to meet', () => met(first, second))
    await close()
    const token = tokenFrom(second)
    await banMember(contextOf(first), { who: second.peer, banned: true }, none, { signal })
    await until('it to be out', () => !knows(first, second))
    const again = await openHonestNode(stack, { token: await tokenAt(first, token) })
    await until('it to be a guest', () => problemsOf(again).includes('has to be approved'))
    expect(knows(first, again)).toBe(false)
  })

  it('one that is forgotten is a guest when it comes back', async () => {
    const second = await openHonestNode(stack, { join: first })
    await until('the two to meet', () => met(first, second))
    await close()
    await onNode(forgetMember)(contextOf(first), { who: second.peer }, none, { signal })
    await until('it to be a guest', () => !knows(first, second) && problemsOf(second).includes('approved'))
    await approve(second.peer)
    await until('it to be back', () => met(first, second))
  })

  it('a guest is given nothing, whatever it tries', async () => {
    await first.names.publish([tagChange('team/app', 'v1', 'x')])
    await close()
    const answered = await heardByGuest()
    expect(answered).toEqual([])
  })

  it('what it tries is answered to a member', async () => {
    const member = await openHostileMember(stack, { cluster: first.node.membership.cluster })
    await member.dial(first.address)
    const { answered, ended } = askAll(member)
    await until('answers', () =>
      [activityProtocol, pulseProtocol, statusProtocol].every((one) => answered.includes(one)),
    )
    await member[Symbol.asyncDispose]()
    await ended
  })

  it('gossip of a guest is heard by nobody, and it hears none', async () => {
    await close()
    const { guest, talk } = await openGuest()
    await guest.dial(first.address)
    const { value } = tagChange('team/app', 'forged', 'x')
    const body = { kind: 'tag', key: 'team/app:forged', time: [Date.now(), 0], value }
    const signed = signRecord(body as Parameters<typeof signRecord>[0], guest.identity).envelope.bytes
    await guest.gossip(signed).catch(() => undefined)
    await first.names.publish([tagChange('team/app', 'v1', 'x')])
    talk.go()
    await until('it to be let go', () => !guest.isConnected(first.peer))
    expect(guest.heard).toEqual([])
    expect(first.counted('shoal_gossip_messages_total')).toBe(0)
  })

  it('what a guest says of this node makes it none, and no line of its log', async () => {
    await close()
    const { guest, talk } = await openGuest()
    await guest.dial(first.address)
    await sayAt(first, guest, 'guest')
    expect([problemsOf(first), warned]).toEqual(['', []])
    talk.go()
    await until('it to be let go', () => !guest.isConnected(first.peer))
  })

  it('many guests take no place from members, and are listed up to a bound', async () => {
    const second = await openHonestNode(stack, { join: first })
    await until('the two to meet', () => met(first, second))
    await close()
    const verdicts: string[] = []
    const knock = async (): Promise<void> => {
      const { guest, talk } = await openGuest()
      talk.go()
      await guest.dial(first.address).catch(() => undefined)
      await until('it to be let go', () => !guest.isConnected(first.peer))
      verdicts.push(...talk.verdicts)
      await guest[Symbol.asyncDispose]()
    }
    for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 6 }, knock))
    expect(new Set(verdicts)).toEqual(new Set(['guest']))
    expect(first.member.guests().length).toBeLessThanOrEqual(16)
    expect(first.peers()).toEqual([second.peer])
    expect((await first.node.swarmTable.keys({ gt: '/peers/', lt: '/peers0' }).all()).length).toBeLessThan(5)
  }, 60_000)
})

it('whoever holds the authority is a member, whatever a member says, and the log has a line of it at most', async () => {
  const second = await openHonestNode(stack, { join: first, logger: logs })
  await until('the two to meet', () => met(first, second))
  const liar = await openHostileMember(stack, { cluster: first.node.membership.cluster })
  for (const node of [first, second]) {
    await liar.dial(node.address)
    for (const kind of ['guest', 'refused', 'guest', 'refused'] as const) await sayAt(node, liar, kind)
  }
  await second.member[Symbol.asyncDispose]()
  expect([problemsOf(first), warned]).toEqual([
    '',
    ['a member says that this node is none yet; it tries again'],
  ])
})

/** Tells that node what was decided about it, as members tell newcomers. */
async function sayAt({ peer }: HonestNode, by: HostileMember, kind: 'guest' | 'refused'): Promise<void> {
  const open = async (): Promise<Channel | undefined> => {
    const channel = await by.open(peer, admissionProtocol)
    await channel.send(new Uint8Array(0))
    return (await channel.receive()) === undefined ? undefined : channel
  }
  let channel: Channel | undefined
  // One is open at a time, and the one before ends when both sides have closed it.
  await until('it to listen', async () => {
    channel = await open().catch(() => undefined)
    return channel !== undefined
  })
  await channel?.send(verdictMessage.encode({ kind, why: 'a lie' }))
  expect(await channel?.receive()).toBeUndefined()
  await channel?.close()
}

/** With the cluster's secret and a new key. It says nothing in the talk before `go`, so that its connection stays that long. */
async function openGuest() {
  const guest = await openHostileMember(stack, { cluster: first.node.membership.cluster })
  const { promise, resolve } = Promise.withResolvers<void>()
  const verdicts: string[] = []
  await guest.node.handle(admissionProtocol, async (stream) => {
    const channel = channelOver(stream, { maxFrameBytes: 4096 })
    await channel.receive()
    await promise
    await channel.send(introductionMessage.encode({ addresses: [], name: 'x' }))
    const verdict = await channel.receive()
    if (verdict !== undefined) verdicts.push(verdictMessage.decode(verdict).kind)
    await channel.close()
  })
  return { guest, talk: { go: () => resolve(), verdicts } }
}

/** What a guest is answered by the time that it is answered in the talk, which it asks for last. */
async function heardByGuest(): Promise<string[]> {
  const { guest, talk } = await openGuest()
  await guest.dial(first.address)
  const { answered, ended } = askAll(guest)
  const channel = await guest.open(first.peer, admissionProtocol)
  await channel.send(new Uint8Array(0))
  expect(await channel.receive()).toBeDefined()
  talk.go()
  await until('it to be let go', () => !guest.isConnected(first.peer))
  await ended
  await guest[Symbol.asyncDispose]()
  return answered
}

const statement = createClones({
  identity: { ...newIdentity(), seed: new Uint8Array() },
  clock: steadyClock,
  logger: silentLogger,
}).statement()
const status = statusRequest.encode({ away: [], keeps: [], running: statement, upstreams: [] })

const requests: Partial<Record<string, Uint8Array>> = {
  [statusProtocol]: status,
  // An empty map.
  [activityProtocol]: Uint8Array.of(0xa0),
}

/** Asks something in every protocol. */
function askAll(by: HostileMember): { answered: string[]; ended: Promise<unknown> } {
  const answered: string[] = []
  const asking = protocols.map(async (protocol) => {
    const channel = await by.open(first.peer, protocol)
    await channel.send(requests[protocol] ?? new Uint8Array(4))
    if ((await channel.receive()) !== undefined) answered.push(protocol)
  })
  return { answered, ended: Promise.allSettled(asking) }
}

const protocols = [
  activityProtocol,
  askProtocol,
  dhtProtocol,
  exchangeProtocol,
  mirrorProtocol,
  policyProtocol,
  pulseProtocol,
  reconcileProtocol,
  rotationProtocol,
  statusProtocol,
]

async function recordedTags(names: HonestNode['names']): Promise<string[]> {
  const { parseRepository } = await import('../../src/oci/oci.ts')
  const repository = parseRepository('team/app')
  const found = ['of-guest', 'of-second'].map((tag) =>
    names.findRecord({ kind: 'tag', repository, tag: tag as never }),
  )
  return found.flatMap((record, at) => (record === undefined ? [] : [['of-guest', 'of-second'][at] ?? '']))
}
