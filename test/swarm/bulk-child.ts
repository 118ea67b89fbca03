/** A member in a process of its own that sends 1 GiB in frames to whoever opens /bulk/1. Arguments: a join token, a member's address. */
import { joinCluster } from '../../src/swarm/swarm.ts'
import { startSwarm, temporaryFolder, until } from './fixture.ts'

const [, , token = '', bootstrap = ''] = process.argv
await using stack = new AsyncDisposableStack()
const folder = await temporaryFolder(stack)
const cluster = await joinCluster(folder, token)
const { swarm } = await startSwarm(stack, { cluster, folder, bootstrap: [bootstrap] })
const frame = new Uint8Array(1024 ** 2)
await swarm.handle('/bulk/1', { maxFrameBytes: frame.length, maxInboundPerPeer: 4 }, async (channel) => {
  for (let sent = 0; sent < 1024; sent++) await channel.send(frame)
})
await until('a member', () => swarm.members.peers().length > 0)
process.send?.(swarm.peerId)
await new Promise<void>((resolve) => process.once('disconnect', () => resolve()))
