/**
 * A member in a process of its own, told what to do by one JSON argument. It reports its addresses and its members, and
 * fetches what it is asked to.
 */
import { createHash } from 'node:crypto'
import { joinCluster } from '../../src/swarm/swarm.ts'
import { startSwarm } from './fixture.ts'

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
const { swarm } = await startSwarm(stack, {
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
const protocol = '/test/blob/1'
const limits = { maxFrameBytes: 64 * 1024, maxInboundPerPeer: 4 }
const digest = digestOf([new Uint8Array(order.blobBytes)])
await swarm.handle(protocol, limits, async (channel) => {
  const wanted = await channel.receive()
  if (wanted === undefined || Buffer.from(wanted).toString() !== digest) return
  for (let left = order.blobBytes; left > 0; left -= limits.maxFrameBytes) {
    await channel.send(new Uint8Array(Math.min(left, limits.maxFrameBytes)))
  }
})
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

/** From the first member that answers. */
async function fetchWhole(wanted: string): Promise<MemberReport> {
  const start = performance.now()
  const answers = swarm.members.peers().map(async (peer) => {
    const channel = await swarm.open(peer, protocol, limits)
    await channel.send(Buffer.from(wanted))
    const first = await channel.receive()
    if (first === undefined) throw new Error(`${peer} does not have it`)
    return { peer, channel, first }
  })
  const { peer, channel, first } = await Promise.any(answers)
  const chunks = [first]
  for (let next = await channel.receive(); next !== undefined; next = await channel.receive())
    chunks.push(next)
  return { kind: 'fetched', digest: digestOf(chunks), from: peer, ms: performance.now() - start }
}

function digestOf(chunks: Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return `sha256:${hash.digest('hex')}`
}
