/** A member in a process of its own that holds one digest of 512 MiB. Arguments: a join token, a member's address. */
import { createHash } from 'node:crypto'
import { parseDigest } from '../../src/oci/oci.ts'
import { joinCluster } from '../../src/swarm/swarm.ts'
import { blobOf, startSwarm, temporaryFolder, until } from './fixture.ts'

const [, , token = '', bootstrap = ''] = process.argv
const size = 512 * 1024 ** 2
await using stack = new AsyncDisposableStack()
const folder = await temporaryFolder(stack)
const cluster = await joinCluster(folder, token)
const digest = parseDigest(`sha256:${createHash('sha256').update('any').digest('hex')}`)
const source = {
  has: async (wanted: string) => wanted === digest,
  mayRead: async () => true,
  open: async () => blobOf(size, () => 1),
}
const { swarm } = await startSwarm(stack, { cluster, folder, bootstrap: [bootstrap], source })
await until('a member', () => swarm.members.peers().length > 0)
process.send?.(digest)
await new Promise<void>((resolve) => process.once('disconnect', () => resolve()))
