import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Verdict } from '../../src/swarm/swarm.ts'
import { newCluster, startSwarm, type TestSwarm, until } from './fixture.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

/** Every node collects what it accepts; `judge` decides by the first byte. */
async function startMesh(
  count: number,
  judge: (first: number) => Verdict,
): Promise<{ nodes: TestSwarm[]; got: number[][] }> {
  const cluster = await newCluster(stack)
  const nodes: TestSwarm[] = []
  const got: number[][] = []
  for (let i = 0; i < count; i++) {
    const bootstrap = nodes.slice(0, 1).map(({ address }) => address)
    const node = await startSwarm(stack, { cluster, bootstrap, unstarted: false })
    const mine: number[] = []
    node.swarm.spread.onMessage(async (bytes) => {
      mine.push(bytes[1] ?? -1)
      return judge(bytes[0] ?? -1)
    })
    nodes.push(node)
    got.push(mine)
  }
  await until('a full mesh', () => nodes.every(({ swarm }) => swarm.members.peers().length === count - 1))
  return { nodes, got }
}

describe('spread', () => {
  test('reaches every member once, and never its publisher', async () => {
    const { nodes, got } = await startMesh(4, () => 'accept')
    let probe = 100
    await until('gossip to flow everywhere', async () => {
      await nodes[0]?.swarm.spread.publish(Uint8Array.of(0, probe++))
      return got.slice(1).every((mine) => mine.length > 0)
    })
    for (let i = 0; i < 50; i++) await nodes[0]?.swarm.spread.publish(Uint8Array.of(0, i))
    const numbered = (mine: number[]): number[] => mine.filter((value) => value < 100).sort((a, b) => a - b)
    await until('all to arrive', () => got.slice(1).every((mine) => numbered(mine).length >= 50))
    for (const mine of got.slice(1)) expect(numbered(mine)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(got[0]).toEqual([])
  })

  test('publishing with nobody there is no error', async () => {
    const { nodes } = await startMesh(1, () => 'accept')
    await nodes[0]?.swarm.spread.publish(Uint8Array.of(1))
  })

  test('refuses a message that is too large', async () => {
    const { nodes } = await startMesh(1, () => 'accept')
    await expect(nodes[0]?.swarm.spread.publish(new Uint8Array(300_000))).rejects.toMatchObject({
      code: 'TOO_LARGE',
    })
  })

  test('a member that keeps sending invalid messages is cut off and refused', async () => {
    const { nodes, got } = await startMesh(2, (first) => (first === 0 ? 'reject' : 'accept'))
    const [bad, good] = nodes
    if (!bad || !good) throw new Error('two nodes')
    let sent = 0
    await until('gossip to flow', async () => {
      await bad.swarm.spread.publish(Uint8Array.of(1, 255, sent++))
      return (got[1]?.length ?? 0) > 0
    })
    await until('the bad one to be cut off', async () => {
      await bad.swarm.spread.publish(Uint8Array.of(0, 1, sent >> 8, sent++ & 255))
      return good.swarm.members.peers().length === 0
    })
    await expect(bad.swarm.open(good.swarm.peerId, '/x', { maxFrameBytes: 1 })).rejects.toMatchObject({
      code: 'PEER_UNREACHABLE',
    })
    expect(got[1]?.filter((value) => value === 1).length).toBeLessThanOrEqual(40)
  })

  test('what is ignored is neither held against its sender nor passed on', async () => {
    const { nodes, got } = await startMesh(2, () => 'ignore')
    const [sender, receiver] = nodes
    if (!sender || !receiver) throw new Error('two nodes')
    let sent = 0
    await until('many messages', async () => {
      await sender.swarm.spread.publish(Uint8Array.of(0, sent >> 8, sent++ & 255))
      return (got[1]?.length ?? 0) > 60
    })
    expect(receiver.swarm.members.peers()).toEqual([sender.swarm.peerId])
  })
})
