/**
 * A member in a process of its own, told what to do by one JSON argument. It reports its addresses and its members, and
 * fetches what it is asked to.
 */
import { createHash } from 'node:crypto'
import { parseDigest } from '../../src/oci/oci.ts'
import { joinCluster } from '../../src/swarm/swarm.ts'
import { repository, startSwarm } from './fixture.ts'

export interface MemberOrder {
  folder: string
  token: string
  listen: { host: string; port: number }
  bootstrap: string[]
  mdns: boolean
  /** Holds a blob of this many zeros. */
  blobBytes: number
}

export type MemberRequest = { fetch: string }

export type MemberReport =
  | { kind: 'started'; peer: string; addresses: string[]; digest: string }
  | { kind: 'members'; peers: string[] }
  | { kind: 'fetched'; digest: string; from: string; ms: number }
  | { kind: 'failed'; message: string }

const order = JSON.parse(process.argv[2] ?? '') as MemberOrder
await using stack = new AsyncDisposableStack()
const cluster = await joinCluster(order.folder, order.token)
const { listen, bootstrap, mdns, folder } = order
const { swarm, source } = await startSwarm(stack, {
  cluster,
  folder,
  listen,
  bootstrap,
  mdns,
  unstarted: true,
})
const report = (message: MemberReport): void => {
  process.send?.(message)
}
swarm.members.onChange(() => report({ kind: 'members', peers: swarm.members.peers() }))
const digest = source.add(new Uint8Array(order.blobBytes))
process.on('message', (request: MemberRequest) => {
  fetchWhole(request.fetch).then(report, (error: unknown) =>
    report({ kind: 'failed', message: String(error) }),
  )
})
await swarm.start()
report({ kind: 'started', peer: swarm.peerId, addresses: swarm.addresses(), digest })
await new Promise<void>((resolve) => {
  process.once('disconnect', () => resolve())
  process.once('SIGTERM', () => resolve())
})
process.disconnect?.()

async function fetchWhole(wanted: string): Promise<MemberReport> {
  const start = performance.now()
  const fetched = await swarm.content.fetch({ digest: parseDigest(wanted), repository })
  const hash = createHash('sha256')
  for await (const chunk of fetched.body) hash.update(chunk)
  const ms = performance.now() - start
  return { kind: 'fetched', digest: `sha256:${hash.digest('hex')}`, from: fetched.peer, ms }
}
