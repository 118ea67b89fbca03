import { rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Logger } from '../../src/base/base.ts'
import { connected, newCluster, startSwarm, until } from './fixture.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

function recordingLogger(): { logger: Logger; warnings: string[] } {
  const warnings: string[] = []
  const nothing = (): void => undefined
  return {
    warnings,
    logger: { debug: nothing, info: nothing, warn: (_f, m) => warnings.push(m), error: nothing },
  }
}

describe('membership', () => {
  test('connects nodes that share the secret, and each lists the other', async () => {
    const cluster = await newCluster(stack)
    const a = await startSwarm(stack, { cluster, agent: 'shoal/1.2.3' })
    const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    await until('both to be connected', () => connected(a, b))
    await until('the agent to be told', () => b.swarm.members.list()[0]?.agent === 'shoal/1.2.3')
    await until(
      'the latency to be known to both',
      () => [a, b].every(({ swarm }) => (swarm.members.list()[0]?.latencyMs ?? 0) > 0),
      15_000,
    )
    const [member] = b.swarm.members.list()
    expect(member).toMatchObject({ peer: a.swarm.peerId, announces: 0 })
    expect(member?.addresses[0]).toContain('/ip4/127.0.0.1/tcp/')
    expect(member?.sinceMs).toBeLessThanOrEqual(Date.now())
  })

  test('members know which upstreams the others reach, and hear of a change without asking', async () => {
    const cluster = await newCluster(stack)
    let reached = ['docker.io']
    const a = await startSwarm(stack, { cluster, upstreams: () => reached })
    const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    await until('the upstreams to be told', () => b.swarm.members.reaching('docker.io').length === 1)
    expect(b.swarm.members.reaching('docker.io')).toEqual([a.swarm.peerId])
    expect(b.swarm.members.list()[0]?.upstreams).toEqual(['docker.io'])
    expect(b.swarm.members.reaching('quay.io')).toEqual([])
    reached = ['quay.io']
    a.swarm.members.tell()
    await until('the change to be told', () => b.swarm.members.reaching('quay.io').length === 1)
    expect(b.swarm.members.reaching('docker.io')).toEqual([])
  })

  test('a third node learns of the others through the one that it knows', async () => {
    const cluster = await newCluster(stack)
    const a = await startSwarm(stack, { cluster })
    const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    const c = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    await until('a full mesh', () => connected(a, b) && connected(a, c) && connected(b, c))
  })

  test('refuses a node of another cluster, and logs it once', async () => {
    const { logger, warnings } = recordingLogger()
    const a = await startSwarm(stack, { cluster: await newCluster(stack), logger })
    const address = a.address.replace(/\/p2p\/.*/, '')
    const stranger = await startSwarm(stack, { cluster: await newCluster(stack), bootstrap: [address] })
    await until('a failed handshake', () => warnings.length > 0)
    await until('more attempts', async () => {
      await expect(stranger.swarm.open(a.swarm.peerId, '/x', { maxFrameBytes: 10 })).rejects.toMatchObject({
        code: 'PEER_UNREACHABLE',
      })
      return true
    })
    expect(a.swarm.members.list()).toEqual([])
    expect(stranger.swarm.members.list()).toEqual([])
    expect(warnings).toHaveLength(1)
  })

  test('a connection that speaks no protocol is closed', async () => {
    const a = await startSwarm(stack, { cluster: await newCluster(stack) })
    const socket = createConnection({ host: '127.0.0.1', port: a.swarm.port() })
    socket.on('error', () => socket.destroy())
    socket.write('GET / HTTP/1.1\r\n\r\n')
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.resume()
    await closed
    expect(a.swarm.members.peers()).toEqual([])
  })

  test('an address that keeps failing the handshake is refused, and recovers', async () => {
    const counts = new Map<string, number>()
    const metrics = {
      count: (name: string) => void counts.set(name, (counts.get(name) ?? 0) + 1),
      observe: () => undefined,
      gauge: () => undefined,
    }
    const cluster = await newCluster(stack)
    const a = await startSwarm(stack, { cluster, metrics })
    const knock = async (): Promise<void> =>
      await new Promise((resolve) => {
        const socket = createConnection({ host: '127.0.0.1', port: a.swarm.port() }, () =>
          socket.end('rubbish\n'),
        )
        socket.on('error', () => socket.destroy())
        socket.on('close', () => resolve())
        socket.resume()
      })
    for (let i = 0; i < 25; i++) await knock()
    await until('refusals', () => (counts.get('shoal_swarm_connections_refused_total') ?? 0) > 0)
    const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    await until('a member at that address to get in', () => connected(a, b))
  })

  test('finds the others again after a restart, with the bootstrap node gone', async () => {
    const cluster = await newCluster(stack)
    const a = await startSwarm(stack, { cluster })
    const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    const c = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    await until('a full mesh', () => connected(a, b) && connected(a, c) && connected(b, c))
    await c.stop()
    await a.stop()
    await until('b to be alone', () => b.swarm.members.peers().length === 0)
    const again = await startSwarm(stack, { cluster, folder: c.folder })
    await until('b and c to meet', () => connected(b, again))
    expect(again.swarm.peerId).toBe(c.swarm.peerId)
  })

  test('reconnects by itself when a member comes back', async () => {
    const cluster = await newCluster(stack)
    const a = await startSwarm(stack, { cluster })
    const port = a.swarm.port()
    const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    await until('both to be connected', () => connected(a, b))
    await a.stop()
    await until('b to be alone', () => b.swarm.members.peers().length === 0)
    await rm(join(a.folder, 'db'), { recursive: true })
    const again = await startSwarm(stack, { cluster, folder: a.folder, listen: { host: '127.0.0.1', port } })
    await until('both to be connected again', () => connected(again, b))
  })

  test('tells listeners who joins and leaves', async () => {
    const cluster = await newCluster(stack)
    const a = await startSwarm(stack, { cluster })
    const events: string[] = []
    a.swarm.members.onChange(({ kind, peer }) => events.push(`${kind} ${peer}`))
    const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    await until('a join', () => events.length === 1)
    await b.stop()
    await until('a leave', () => events.length === 2)
    expect(events).toEqual([`join ${b.swarm.peerId}`, `leave ${b.swarm.peerId}`])
  })

  test('a ban closes the connection and keeps the peer out', async () => {
    const cluster = await newCluster(stack)
    const banned = new Set<string>()
    const a = await startSwarm(stack, { cluster, isBanned: (peer) => banned.has(peer) })
    const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
    await until('both to be connected', () => connected(a, b))
    banned.add(b.swarm.peerId)
    a.swarm.reconsider()
    await until('the ban to act', () => a.swarm.members.peers().length === 0)
    await until('b to notice', () => b.swarm.members.peers().length === 0)
    await expect(a.swarm.open(b.swarm.peerId, '/x', { maxFrameBytes: 10 })).rejects.toMatchObject({
      code: 'PEER_UNREACHABLE',
    })
    await expect(b.swarm.open(a.swarm.peerId, '/x', { maxFrameBytes: 10 })).rejects.toMatchObject({
      code: 'PEER_UNREACHABLE',
    })
    expect(a.swarm.members.peers()).toEqual([])
    banned.clear()
    await until('b to be let in again', () => connected(a, b))
  })

  test('a port in use is a LISTEN_FAILED that names the address', async () => {
    const cluster = await newCluster(stack)
    const a = await startSwarm(stack, { cluster })
    const listen = { host: '127.0.0.1', port: a.swarm.port() }
    const starting = startSwarm(stack, { cluster, listen })
    await expect(starting).rejects.toMatchObject({ code: 'LISTEN_FAILED' })
  })
})
