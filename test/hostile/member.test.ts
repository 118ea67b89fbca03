import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { askProtocol } from '../../node/cluster/protocols.ts'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { askRecords } from '../../src/records/records.ts'
import { tokenOf } from '../../src/swarm/swarm.ts'
import { run } from '../e2e/command.ts'
import { until } from '../swarm/fixture.ts'
import { openHonestCluster } from './honest-node.ts'
import { frame, newIdentity, openHostileMember } from './member.ts'
import { spreadMessage, tagRecords } from './records.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

it('the hostile member is one that honest members listen to, in each protocol that it speaks', async () => {
  const [near, far] = await openHonestCluster(stack, 2)
  if (near === undefined || far === undefined) throw new Error('two nodes')
  const { cluster } = near.node.membership
  const hostile = await openHostileMember(stack, { cluster })
  expect(await hostile.dial(near.address)).toBe(near.peer)
  await until('it is a member', () => near.peers().includes(hostile.peer))
  expect(far.peers()).toEqual([near.peer])

  const [record = new Uint8Array()] = tagRecords(newIdentity(), 1)
  await hostile.gossip(spreadMessage([record]))
  const [repository, tag] = [parseRepository('hostile/tags'), parseTag('t0')]
  await until('gossip to cross', async () => (await far.names.findTag(repository, tag)) !== undefined)

  const channel = await hostile.open(near.peer, askProtocol)
  expect(await askRecords(channel, [{ kind: 'tag', repository, tag }])).toEqual([record])
  await channel.close()

  await hostile.claimToHold(near.peer, [randomBytes(32), randomBytes(32)])
  await until('the claims to be kept', async () => (await near.claims()) === 2)

  const stream = await hostile.stream(near.peer, askProtocol)
  await stream.send(frame(Buffer.from('nonsense')), { cut: 1 })
  await until('nonsense to be counted', () => near.counted('shoal_swarm_misdeeds_total') > 0)
})

it('runs as a program that is given a token', async () => {
  const [near] = await openHonestCluster(stack, 1)
  if (near === undefined) throw new Error('a node')
  const token = tokenOf(near.node.membership.cluster, [near.address])
  const program = join(import.meta.dirname, 'program.ts')
  const { stdout } = await run(process.execPath, [program, token, 'claimEverything', '1', '2'])
  expect(stdout.match(/did claimEverything/g)).toHaveLength(2)
  await until('a claim to be kept', async () => (await near.claims()) > 0)
})
