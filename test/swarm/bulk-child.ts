/** A member in a process of its own that sends 1 GiB to whoever opens /bulk/1. Arguments: a join token, a member's address. */
import { joinCluster } from '../../src/swarm/swarm.ts'
import { blobOf, startSwarm, temporaryFolder, until } from './fixture.ts'

const [, , token = '', bootstrap = ''] = process.argv
const size = 1024 ** 3
await using stack = new AsyncDisposableStack()
const folder = await temporaryFolder(stack)
const cluster = await joinCluster(folder, token)
const { swarm } = await startSwarm(stack, { cluster, folder, bootstrap: [bootstrap] })
await swarm.handle('/bulk/1', { maxFrameBytes: 1024, maxInboundPerPeer: 4 }, async (channel) => {
  await channel.sendBytes(blobOf(size, () => 1).chunks(0, size), size)
})
await until('a member', () => swarm.members.peers().length > 0)
process.send?.(swarm.peerId)
await new Promise<void>((resolve) => process.once('disconnect', () => resolve()))
