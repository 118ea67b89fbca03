/** A member that connects and says nothing at all. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSeed } from '../../src/swarm/cluster/key-file.ts'
import { identityFromSeed } from '../../src/wire/wire.ts'
import { newCluster, startSwarm, until } from '../swarm/fixture.ts'
import { openHostileMember } from './member.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

test('a member that says nothing keeps nobody from what another tells of itself', async () => {
  const cluster = await newCluster(stack)
  const a = await startSwarm(stack, { cluster, agent: 'shoal/1.2.3' })
  // Of two members the one whose name comes first has to show that the other answers.
  let seed = createSeed()
  while (identityFromSeed(seed).peerId > a.swarm.peerId) seed = createSeed()
  const mute = await openHostileMember(stack, { cluster, seed })
  mute.node.services.identify.identify = async () => await Promise.reject(new Error('it says nothing'))
  await mute.node.unhandle(mute.node.getProtocols())
  await mute.dial(a.address)
  await until('it to be a member', () => a.swarm.members.peers().includes(mute.peer))
  const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
  await until('what it tells of itself', () => b.swarm.members.list()[0]?.agent === 'shoal/1.2.3', 5_000)
  expect(a.swarm.members.peers()).toContain(mute.peer)
})
