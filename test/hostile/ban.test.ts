/** What a ban does to the node that is banned, and how it ends. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { changeBan, setPolicy } from '../../node/operations/policy.ts'
import { formatTime } from '../../node/screen/output.ts'
import type { Logger } from '../../src/base/base.ts'
import { readRecordAuthor, readRecordTimeMs } from '../../src/records/records.ts'
import { until } from '../swarm/fixture.ts'
import { type HonestNode, openHonestNode } from './honest-node.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

function recording(): { logger: Logger; lines: string[] } {
  const lines: string[] = []
  const write = (_: object, message: string): void => void lines.push(message)
  return { lines, logger: { debug: () => undefined, info: write, warn: write, error: write } }
}

async function threeNodes() {
  const [first, second] = [recording(), recording()]
  const authority = await openHonestNode(stack, { logger: first.logger })
  const other = await openHonestNode(stack, { join: authority })
  const victim = await openHonestNode(stack, { join: authority, logger: second.logger })
  const nodes = [authority, other, victim]
  await until('a full mesh', () => nodes.every((node) => node.peers().length === 2))
  return { authority, other, victim, authorityLog: first.lines, victimLog: second.lines }
}

async function ban(
  authority: HonestNode,
  { peer }: Pick<HonestNode, 'peer'>,
  banned = true,
  force = false,
): Promise<void> {
  const { node, member } = authority
  const context = { node, member, registry: {} } as unknown as Parameters<typeof changeBan>[0]
  await changeBan(context, { peer, banned, force }, () => undefined, { signal: AbortSignal.timeout(30_000) })
}

it('a banned node is told so, says so once, and leaves the others in peace; unbanned, it is back at once', async () => {
  const { authority, other, victim, authorityLog, victimLog } = await threeNodes()
  await ban(authority, victim)
  await until('the others to part from it', () =>
    [authority, other].every((node) => node.peers().length === 1),
  )
  await until('it to know', () => victim.names.isBanned(victim.peer))
  await until('it to be alone', () => victim.peers().length === 0)
  expect(victim.member.problems().join()).toContain("banned by the cluster's policy")
  const policy = authority.names.findRecord({ kind: 'policy' }) ?? new Uint8Array()
  const signed = { author: readRecordAuthor(policy), time: formatTime(readRecordTimeMs(policy)) }
  expect(victim.member.ban()).toEqual({
    found: expect.stringMatching(
      new RegExp(`signed by the authority ${signed.author}, since ${signed.time} UTC at the latest`),
    ),
    remedy: expect.stringContaining(`shoal member unban ${victim.peer}`),
  })
  // Whatever the node does, nobody is dialled: members that it asks, or that the DHT knows, refuse it.
  for (let n = 0; n < 50; n++) {
    await expect(victim.member.swarm.open(authority.peer, '/x', { maxFrameBytes: 10 })).rejects.toMatchObject(
      { code: 'PEER_UNREACHABLE' },
    )
  }
  expect(authority.counted('shoal_swarm_connections_refused_total')).toBeLessThan(5)
  expect(victimLog.filter((line) => line.includes('this node is banned'))).toHaveLength(1)
  expect(victimLog.length).toBeLessThan(20)
  expect(authorityLog.filter((line) => line.includes('that the policy bans')).length).toBeLessThanOrEqual(1)

  await ban(authority, victim, false)
  await until('it to be back', () => [authority, other, victim].every((node) => node.peers().length === 2))
  await until('it to know that', () => victimLog.includes('this node is no longer banned'))
  expect(victim.member.problems()).toEqual([])
})

it('a ban that came while the node was away is told to it when it comes', async () => {
  const authority = await openHonestNode(stack)
  const away = new AsyncDisposableStack()
  stack.use(away)
  const victim = await openHonestNode(away, { join: authority })
  await until('two members', () => authority.peers().length === 1)
  const { data } = victim.node.settings
  await victim.member[Symbol.asyncDispose]()
  await until('it to be away', () => authority.peers().length === 0)
  await ban(authority, victim)
  await victim.node[Symbol.asyncDispose]()
  const { logger, lines } = recording()
  const again = await openHonestNode(stack, { data, logger })
  await until('it to know', () => again.names.isBanned(again.peer))
  expect(lines.filter((line) => line.includes('this node is banned'))).toHaveLength(1)
  expect(authority.peers()).toEqual([])
})

it('a node does not ban itself unless that is asked for, and then it can be undone, though all others refuse it', async () => {
  const { authority, other, victim } = await threeNodes()
  const refused = expect.objectContaining({
    code: 'BAN_OF_SELF',
    message: expect.stringContaining('--force'),
  })
  await expect(ban(authority, authority)).rejects.toEqual(refused)
  const context = { node: authority.node } as unknown as Parameters<typeof setPolicy>[0]
  await expect(
    setPolicy(context, { policy: { banned: [authority.peer] }, force: false }, () => undefined, {
      signal: AbortSignal.timeout(30_000),
    }),
  ).rejects.toEqual(refused)
  expect(authority.names.policy().banned).toEqual([])

  await ban(authority, authority, true, true)
  await until('the others to have parted from it', () =>
    [other, victim].every((node) => !node.peers().includes(authority.peer)),
  )
  expect(other.names.isBanned(authority.peer)).toBe(true)
  await ban(authority, authority, false)
  await until('it to be a member again', () =>
    [authority, other, victim].every((node) => node.peers().length === 2),
  )
  await until('all to know', () => [other, victim].every(({ names }) => !names.isBanned(authority.peer)))
})
