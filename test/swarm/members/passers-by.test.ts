import { setImmediate } from 'node:timers/promises'
import { peerIdFromString } from '@libp2p/peer-id'
import { describe, expect, it } from 'vitest'
import { Background, silentLogger } from '../../../src/base/base.ts'
import { createSeed } from '../../../src/swarm/cluster/key-file.ts'
import { PassersBy } from '../../../src/swarm/members/passers-by.ts'
import { identityFromSeed } from '../../../src/wire/wire.ts'

const newPeer = (): string => identityFromSeed(createSeed()).peerId

/** Of libp2p's peer store the rows alone, and its word of what was written. */
class FakeNode extends EventTarget {
  readonly rows = new Set<string>()
  readonly peerStore = { delete: async (id: { toString(): string }) => void this.rows.delete(id.toString()) }

  write(peer: string): void {
    this.rows.add(peer)
    this.dispatchEvent(new CustomEvent('peer:update', { detail: { peer: { id: peerIdFromString(peer) } } }))
  }

  connect(peer: string): void {
    this.dispatchEvent(new CustomEvent('peer:connect', { detail: peerIdFromString(peer) }))
  }
}

describe('who passed by', () => {
  const node = new FakeNode()
  const tasks = new Background('the test', silentLogger)
  const passersBy = new PassersBy({
    node: node as unknown as ConstructorParameters<typeof PassersBy>[0]['node'],
    tasks,
  })

  it('leaves no row, also where libp2p writes one late', async () => {
    const [guest, other] = [newPeer(), newPeer()]
    node.write(other)
    node.write(guest)
    await passersBy.forget(guest)
    expect([...node.rows]).toEqual([other])
    node.write(guest)
    await setImmediate()
    expect([...node.rows]).toEqual([other])
  })

  it('has one again once it is back', async () => {
    const guest = newPeer()
    await passersBy.forget(guest)
    node.connect(guest)
    node.write(guest)
    await setImmediate()
    expect(node.rows.has(guest)).toBe(true)
  })
})
