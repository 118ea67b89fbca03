import { setImmediate as turn } from 'node:timers/promises'
import type { KadDHT } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { expect, test } from 'vitest'
import { Background, silentLogger } from '../../../src/base/base.ts'
import { fillRoutingTable } from '../../../src/swarm/dht/routing-table.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

const self = peerIdFromString('12D3KooWMZyyiQUANCQoKNL76VTFg8pW5eJ9vZVvgjCV4Ac8wC45')
const own = Buffer.from(self.toMultihash().bytes).toString('hex')

/** A node among so many connected members, at whose table a minute passes at a time. */
function tableAmong(mesh: { count: number; complete: boolean; random?: number; fails?: boolean }) {
  const asked: string[] = []
  const tasks = new Background('the test', silentLogger)
  const clock = new SteppedClock()
  let changed = (): void => undefined
  const dht = {
    async *getClosestPeers(key: Uint8Array) {
      asked.push(Buffer.from(key).toString('hex'))
      if (mesh.fails === true) throw new Error('nobody answers')
      yield {}
    },
  }
  fillRoutingTable({
    node: { peerId: self, services: { dht: dht as unknown as KadDHT } },
    members: {
      peers: () => Array.from({ length: mesh.count }, (_, index) => `member-${index}`),
      onChange(listener) {
        changed = () => listener({ kind: 'join', peer: 'another' })
        return () => undefined
      },
    },
    isComplete: () => mesh.complete,
    tasks,
    clock,
    random: () => mesh.random ?? 0.5,
    logger: silentLogger,
  })
  return {
    asked,
    tasks,
    changed: () => changed(),
    async pass(minutes: number) {
      for (let minute = 0; minute < minutes; minute++) {
        await clock.pass(60_000)
        for (let turns = 0; turns < 10; turns++) await turn()
      }
    },
  }
}

test.each([
  ['few members who are all connected', { count: 7, complete: true }, 0],
  ['nobody', { count: 0, complete: false }, 0],
  ['many members', { count: 40, complete: true }, 10],
  ['many members where nobody answers', { count: 40, complete: true, fails: true }, 10],
  // In minutes 1, 3 and 7.
  ['few members of whom some are away', { count: 7, complete: false }, 3],
] as const)('looks in the DHT so often in ten minutes among %s', async (_, mesh, looks) => {
  const table = tableAmong(mesh)
  await using _tasks = table.tasks
  await table.pass(10)
  expect(table.asked).toEqual(Array.from({ length: looks }, () => own))
})

test('looks again soon once somebody has come or gone', async () => {
  const table = tableAmong({ count: 7, complete: false })
  await using _tasks = table.tasks
  await table.pass(8)
  const before = table.asked.length
  table.changed()
  await table.pass(1)
  expect(table.asked).toHaveLength(before + 1)
})

test('looks for what is anywhere now and then, too', async () => {
  const table = tableAmong({ count: 40, complete: true, random: 0.1 })
  await using _tasks = table.tasks
  await table.pass(2)
  expect(table.asked.filter((key) => key !== own)).toHaveLength(2)
})
