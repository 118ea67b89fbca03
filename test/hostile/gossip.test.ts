import { afterEach, beforeEach, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { tagChange } from '../records/fixture.ts'
import { until } from '../swarm/fixture.ts'
import { attacks } from './attacks.ts'
import { type HonestNode, openHonestCluster } from './honest-node.ts'
import { newIdentity, openHostileMember } from './member.ts'
import { manifestRecords, spreadMessage, tagRecords } from './records.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

const repository = parseRepository('team/app')

it('known records beside new ones have no honest member that passes them on expelled', async () => {
  const [relayer, ...others] = (await openHonestCluster(stack, 3)) as [HonestNode, ...HonestNode[]]
  const hostile = await openHostileMember(stack, { cluster: relayer.node.membership.cluster })
  await hostile.dial(relayer.address)
  await attacks.repeatRecords(hostile, relayer.peer, { times: 8 })
  for (const node of [relayer, ...others]) {
    await until('it to have heard', () => node.counted('shoal_gossip_messages_total') >= 4)
  }
  for (let n = 0; n < 20; n++) await relayer.names.publish([tagChange('team/app', `t${n}`, 'x')])
  const last = parseTag('t19')
  for (const other of others) {
    await until('the last push', async () => (await other.names.findTag(repository, last)) !== undefined)
    expect(other.counted('shoal_swarm_misdeeds_total')).toBe(0)
    expect(other.counted('shoal_gossip_messages_total', { verdict: 'reject' })).toBe(0)
    expect(other.peers()).toContain(relayer.peer)
  }
})

it('a flood of large records by ever new authors is taken up to a budget, passed on no further, and delays no honest push', async () => {
  const [near, far] = (await openHonestCluster(stack, 2)) as [HonestNode, HonestNode]
  const hostile = await openHostileMember(stack, { cluster: near.node.membership.cluster })
  await hostile.dial(near.address)
  const messages = 110
  await attacks.flood(hostile, near.peer, { times: messages })
  await until('it to have heard', () => near.counted('shoal_gossip_messages_total') >= messages, 60_000)
  const stored = { kind: 'manifest', from: 'member' }
  for (const node of [near, far]) {
    expect(node.counted('shoal_records_stored_total', stored)).toBeLessThan(300)
    expect(node.counted('shoal_swarm_misdeeds_total')).toBe(0)
  }
  await near.names.publish([tagChange('team/app', 'honest', 'x')])
  const tag = parseTag('honest')
  await until('the push', async () => (await far.names.findTag(repository, tag)) !== undefined)
}, 60_000)

it('goes on to hear a member that sends many messages in one, as it does when it is asked for those that were lost', async () => {
  const [near] = (await openHonestCluster(stack, 1)) as [HonestNode]
  const hostile = await openHostileMember(stack, { cluster: near.node.membership.cluster })
  await hostile.dial(near.address)
  const large = manifestRecords(newIdentity(), 12)
  await hostile.gossip(...large.map((record) => spreadMessage([record])))
  await hostile.gossip(spreadMessage(tagRecords(newIdentity(), 1)))
  const tag = parseTag('t0')
  const lastTag = async () => await near.names.findTag(parseRepository('hostile/tags'), tag)
  await until('the last message', async () => (await lastTag()) !== undefined)
  // A message is counted a moment after it is taken.
  await until('it to be counted', () => near.counted('shoal_gossip_messages_total') === large.length + 1)
  expect(near.counted('shoal_gossip_messages_total', { verdict: 'accept' })).toBe(large.length + 1)
})
