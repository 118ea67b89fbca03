/** Whom a node dials when, while others invent members, refuse it, or ban it. */
import type { Address } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Background, silentLogger } from '../../../src/base/base.ts'
import { createSeed } from '../../../src/swarm/cluster/key-file.ts'
import { createDialer, type Dialer, type DialerOptions } from '../../../src/swarm/members/dialer.ts'
import { identityFromSeed } from '../../../src/wire/wire.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

const minuteMs = 60_000
const newPeer = (): string => identityFromSeed(createSeed()).peerId
const address = '/ip4/192.0.2.1/tcp/5001'

class FakeNode extends EventTarget {
  readonly peerId = peerIdFromString(newPeer())
  readonly connected = new Set<string>()
  readonly stored = new Map<string, { protocols: string[]; addresses: Address[] }>()
  /** What a dial does; it fails by itself. */
  onDial = (_peer: string): void => undefined
  dials: string[] = []

  readonly peerStore = {
    has: async (id: object) => this.stored.has(String(id)),
    get: async (id: object) => this.stored.get(String(id)),
    merge: async (id: object, { multiaddrs }: { multiaddrs: Multiaddr[] }) => {
      const known = this.stored.get(String(id)) ?? { protocols: [], addresses: [] }
      known.addresses.push(...multiaddrs.map((multiaddr) => ({ multiaddr, isCertified: false })))
      this.stored.set(String(id), known)
    },
    patch: async (id: object, { addresses }: { addresses: Address[] }) => {
      this.stored.set(String(id), { protocols: [], ...this.stored.get(String(id)), addresses })
    },
    delete: async (id: object) => void this.stored.delete(String(id)),
    all: async () => [...this.stored].map(([id, known]) => ({ id: peerIdFromString(id), ...known })),
  }

  addressesOf(peer: string): string[] {
    return this.stored.get(peer)?.addresses.map((known) => known.multiaddr.toString()) ?? []
  }

  getPeers(): string[] {
    return [...this.connected]
  }

  async dial(to: object) {
    const peer = String(to)
    this.dials.push(peer)
    this.onDial(peer)
    if (!this.connected.has(peer)) throw new Error('nobody answers')
    return { remotePeer: to }
  }

  join(peer: string): void {
    this.connected.add(peer)
    this.dispatchEvent(Object.assign(new Event('peer:connect'), { detail: peer }))
  }

  leave(peer: string): void {
    this.connected.delete(peer)
    this.dispatchEvent(Object.assign(new Event('peer:disconnect'), { detail: peer }))
  }
}

let clock: SteppedClock
let node: FakeNode
let tasks: Background
let dialer: Dialer
let isOutcast: boolean
let banned: Set<string>

async function open(bootstrap: string[] = []): Promise<void> {
  clock = new SteppedClock()
  node = new FakeNode()
  tasks = new Background('the test', silentLogger)
  isOutcast = false
  banned = new Set()
  dialer = createDialer({
    node,
    tasks,
    clock,
    random: () => 0.5,
    logger: silentLogger,
    bootstrap,
    isUnwelcome: (peer: string) => banned.has(peer),
    isOutcast: () => isOutcast,
  } as unknown as DialerOptions)
  await dialer.start()
}

beforeEach(() => open())
afterEach(async () => {
  await tasks[Symbol.asyncDispose]()
})

/** What is due runs, and what it starts. */
async function pass(ms: number, stepMs = 250): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(stepMs)
  }
  await new Promise((resolve) => setImmediate(resolve))
}

async function invent(count: number): Promise<void> {
  for (let n = 0; n < count; n++) dialer.learn(newPeer(), [address])
  await pass(250)
}

describe('a dialer', () => {
  it('dials a member that it lost, however many others were invented before', async () => {
    const member = newPeer()
    node.join(member)
    await pass(10 * minuteMs, minuteMs)
    await invent(1100)
    await pass(5000)
    node.dials = []
    node.leave(member)
    await invent(1100)
    await pass(3000)
    expect(node.dials).toContain(member)
    expect(node.stored.size).toBeLessThanOrEqual(300)
  })

  it('dials a member where it is, however many addresses of it were invented before', async () => {
    const member = newPeer()
    node.onDial = (peer) => {
      if (node.addressesOf(peer).includes(address)) node.join(peer)
    }
    let n = 0
    const lie = () =>
      dialer.learn(
        member,
        Array.from({ length: 4 }, () => `/ip4/192.0.2.2/tcp/${++n}`),
      )
    for (let told = 0; told < 8; told++) lie()
    await pass(5000)
    expect(node.addressesOf(member)).toHaveLength(16)
    for (let told = 0; told < 8; told++) lie()
    dialer.learn(member, [address])
    await pass(minuteMs)
    expect(node.connected).toContain(member)
  })

  it('dials a member where it was told to look, whatever others say of it', async () => {
    const member = newPeer()
    await tasks[Symbol.asyncDispose]()
    await open([`${address}/p2p/${member}`])
    for (let n = 0; n < 100; n++) {
      dialer.learn(member, [`/ip4/192.0.2.2/tcp/${n + 1}`])
      await pass(500)
    }
    node.onDial = (peer) => {
      if (node.addressesOf(peer).some((known) => known.startsWith(address))) node.join(peer)
    }
    await pass(5000)
    expect(node.connected).toContain(member)
  })

  it('forgets no address that the member itself has told', async () => {
    const member = newPeer()
    const itsOwn = Array.from({ length: 14 }, (_, n) => `/ip4/192.0.2.3/tcp/${n + 1}`)
    const addresses = itsOwn.map((text) => ({ multiaddr: multiaddr(text), isCertified: true }))
    node.stored.set(member, { protocols: ['/ours'], addresses })
    for (let n = 0; n < 40; n++) {
      dialer.learn(member, [`/ip4/192.0.2.2/tcp/${n + 1}`])
      await pass(5000)
    }
    const known = node.addressesOf(member)
    expect(known).toEqual(expect.arrayContaining(itsOwn))
    expect(known).toContain('/ip4/192.0.2.2/tcp/40')
    expect(known).toHaveLength(18)
  })

  it('goes on dialling it while sixty-four members that nobody knows are connected', async () => {
    const member = newPeer()
    node.join(member)
    await pass(10 * minuteMs, minuteMs)
    for (let n = 0; n < 64; n++) node.join(newPeer())
    node.leave(member)
    await pass(3000)
    expect(node.dials).toContain(member)
  })

  it('does so also when it was back for a moment only', async () => {
    const member = newPeer()
    node.join(member)
    await pass(10 * minuteMs, minuteMs)
    for (let n = 0; n < 64; n++) node.join(newPeer())
    node.onDial = (peer) => node.join(peer)
    node.leave(member)
    await pass(10_000)
    expect(node.connected).toContain(member)
    node.onDial = () => undefined
    node.dials = []
    node.leave(member)
    await pass(3000)
    expect(node.dials).toContain(member)
  })

  it('gives those that others only spoke of half of its dials', async () => {
    const over = Promise.withResolvers<never>()
    node.dial = async (to) => {
      node.dials.push(String(to))
      return await over.promise
    }
    await invent(300)
    await pass(1000)
    expect(node.dials).toHaveLength(4)
    over.reject(new Error('the test is over'))
  })

  it('misses nobody who was only spoken of and never answers', async () => {
    dialer.learn(newPeer(), [address])
    await pass(500)
    expect(dialer.isComplete()).toBe(false)
    await pass(30_000)
    expect(dialer.isComplete()).toBe(true)
  })

  it('backs off from a member that closes each connection at once, and lets nobody else dial it meanwhile', async () => {
    const member = newPeer()
    node.onDial = (peer) => {
      node.join(peer)
      node.leave(peer)
    }
    dialer.learn(member, [address])
    await pass(minuteMs)
    expect(node.dials.length).toBeGreaterThan(3)
    expect(node.dials.length).toBeLessThan(9)
    expect(dialer.isResting(member)).toBe(true)
    const before = node.dials.length
    for (let n = 0; n < 100; n++) dialer.learn(member, [address])
    await pass(5000)
    expect(node.dials.length).toBe(before)
  })

  it('asks every five minutes while it is banned, and at once when the ban is over', async () => {
    const member = newPeer()
    isOutcast = true
    dialer.learn(member, [address])
    await pass(30 * minuteMs, 1000)
    node.dials = []
    await pass(30 * minuteMs, 1000)
    expect(node.dials.length).toBeGreaterThanOrEqual(5)
    expect(node.dials.length).toBeLessThanOrEqual(7)
    expect(dialer.isResting(newPeer())).toBe(true)
    isOutcast = false
    node.dials = []
    dialer.reconsider()
    await pass(250)
    expect(node.dials).toEqual([member])
  })

  it('does not dial whom the policy bans until it no longer does', async () => {
    const member = newPeer()
    node.join(member)
    await pass(minuteMs, 1000)
    banned.add(member)
    node.leave(member)
    await pass(5 * minuteMs, 1000)
    expect(node.dials).toEqual([])
    banned.clear()
    dialer.reconsider()
    await pass(250)
    expect(node.dials).toEqual([member])
  })
})
