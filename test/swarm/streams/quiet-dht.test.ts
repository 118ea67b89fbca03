import { identify } from '@libp2p/identify'
import { type KadDHT, kadDHT } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { createLibp2p } from 'libp2p'
import { afterEach, expect, test, vi } from 'vitest'
import { quietDht } from '../../../src/swarm/streams/quiet-dht.ts'

afterEach(() => vi.useRealTimers())

/** How often a node looks for members in the DHT within an hour of its own accord, and marks whom it is near. */
async function workInAnHour(dht: typeof quietDht): Promise<{ looks: number; marks: number }> {
  const node = await createLibp2p({
    start: false,
    services: { identify: identify(), ping: ping(), dht: dht({ allowQueryWithZeroPeers: true }) },
  })
  const routing = Reflect.get(node.services.dht, 'peerRouting') as KadDHT
  const look = vi.spyOn(routing, 'getClosestPeers')
  const tagger = Reflect.get(Reflect.get(node.services.dht, 'routingTable') as object, 'closestPeerTagger')
  const mark = vi.spyOn(tagger as { updatePeerTags(): Promise<void> }, 'updatePeerTags')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'] })
  await node.start()
  await vi.advanceTimersByTimeAsync(3_600_000)
  vi.useRealTimers()
  await node.stop()
  return { looks: look.mock.calls.length, marks: mark.mock.calls.length }
}

test('looks for nobody by itself, and marks nobody', async () => {
  expect(await workInAnHour(quietDht)).toEqual({ looks: 0, marks: 0 })
})

test("which libp2p's does", async () => {
  const { looks, marks } = await workInAnHour(kadDHT)
  expect(looks).toBeGreaterThan(10)
  expect(marks).toBeGreaterThan(10)
})
