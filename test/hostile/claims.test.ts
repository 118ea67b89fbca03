/** A member that claims to mirror what is the cluster's own. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { believedMirrors } from '../../node/cluster/mirror-peers.ts'
import { silentLogger, steadyClock } from '../../src/base/base.ts'
import { createClones } from '../../src/swarm/clones.ts'
import { statusMessage, statusProtocol, statusRequest } from '../../src/swarm/status-message.ts'
import { isUpstreamName } from '../../src/upstream/upstream.ts'
import { until } from '../swarm/fixture.ts'
import { openHonestNode } from './honest-node.ts'
import { openHostileMember } from './member.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

it('makes no mirror of a name under which the policy lets others publish', async () => {
  const near = await openHonestNode(stack)
  const hostile = await openHostileMember(stack, { cluster: near.node.membership.cluster })
  await hostile.dial(near.address)
  await until('it to be a member', () => near.peers().includes(hostile.peer))
  const channel = await hostile.open(near.peer, statusProtocol)
  const clones = createClones({
    identity: { ...hostile.identity, seed: new Uint8Array(32) },
    clock: steadyClock,
    logger: silentLogger,
  })
  const claims = { upstreams: ['acme.io', 'other.io'], away: [], keeps: [], running: clones.statement() }
  await channel.send(statusRequest.encode(claims))
  expect(statusMessage.decode((await channel.receive()) ?? new Uint8Array())).toMatchObject({ upstreams: [] })

  const { swarm } = near.member
  const isMirrored = (name: string): boolean =>
    isUpstreamName(
      name,
      { find: () => undefined },
      { mirroring: (upstream) => believedMirrors(swarm, near.names, upstream) },
    )
  expect(isMirrored('acme.io')).toBe(true)
  const policy = near.names.policy()
  await near.names.setPolicy({ ...policy, rules: [{ repositories: 'acme.io/**', authors: [near.peer] }] })
  expect(isMirrored('acme.io')).toBe(false)
  expect(isMirrored('other.io')).toBe(true)
})
