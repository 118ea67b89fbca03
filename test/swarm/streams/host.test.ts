/** What is said of channels that could not be served. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ClosingError, silentLogger } from '../../../src/base/base.ts'
import { StoreFullError } from '../../../src/store/store.ts'
import { connected, newCluster, startSwarm, until } from '../fixture.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

test('members that say nothing, and what stops here, cause no line each, and a fault of this node one a minute', async () => {
  const cluster = await newCluster(stack)
  const warnings: string[] = []
  const logger = { ...silentLogger, warn: (_: object, message: string) => void warnings.push(message) }
  const a = await startSwarm(stack, { cluster, logger })
  const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
  await until('both to be connected', () => connected(a, b))
  const limits = { maxFrameBytes: 10, maxInboundPerPeer: 40 }
  let served = 0
  await a.swarm.handle('/silent/1', limits, async () => {
    served++
    throw new DOMException('it said nothing', 'TimeoutError')
  })
  await a.swarm.handle('/faulty/1', limits, async () => {
    served++
    throw new Error('the disk is gone')
  })
  await a.swarm.handle('/stopping/1', limits, async () => {
    served++
    throw new ClosingError('the exchange is closing')
  })
  await a.swarm.handle('/full/1', limits, async () => {
    served++
    throw new StoreFullError('the disk is full')
  })
  for (const protocol of ['/silent/1', '/stopping/1', '/full/1', '/faulty/1']) {
    for (let n = 0; n < 10; n++) {
      const channel = await b.swarm.open(a.swarm.peerId, protocol, limits).catch(() => undefined)
      await channel?.send(new Uint8Array(1)).catch(() => undefined)
    }
  }
  await until('all to be served', () => served === 40)
  expect(warnings).toEqual(['serving a peer failed'])
})
