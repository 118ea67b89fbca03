import { identify } from '@libp2p/identify'
import { type KadDHT, kadDHT } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { createLibp2p } from 'libp2p'
import { afterEach, expect, test, vi } from 'vitest'
import { quietDht } from '../../../src/swarm/streams/quiet-dht.ts'

afterEach(() => vi.useRealTimers())

/** How often a node looks for members in the DHT within an hour of its own accord. */
async function looksInAnHour(dht: typeof quietDht): Promise<number> {
  const node = await createLibp2p({
    start: false,
    services: { identify: identify(), ping: ping(), dht: dht({ allowQueryWithZeroPeers: true }) },
  })
  const routing = Reflect.get(node.services.dht, 'peerRouting') as KadDHT
  const look = vi.spyOn(routing, 'getClosestPeers')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
  await node.start()
  await vi.advanceTimersByTimeAsync(3_600_000)
  vi.useRealTimers()
  await node.stop()
  return look.mock.calls.length
}

test('looks for nobody by itself', async () => {
  expect(await looksInAnHour(quietDht)).toBe(0)
})

test("which libp2p's does", async () => {
  expect(await looksInAnHour(kadDHT)).toBeGreaterThan(10)
})
