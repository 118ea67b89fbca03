/** Swarms on loopback with temporary folders, and waiting for conditions instead of sleeping. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Level } from 'level'
import { parseRepository } from '../../src/oci/oci.ts'
import {
  type Cluster,
  openIdentity,
  openSwarm,
  type Swarm,
  type SwarmOptions,
  startCluster,
} from '../../src/swarm/swarm.ts'

export const repository = parseRepository('team/app')

export async function temporaryFolder(stack: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-swarm-'))
  stack.defer(async () => await rm(folder, { recursive: true, force: true }))
  return folder
}

export async function newCluster(stack: AsyncDisposableStack): Promise<Cluster> {
  return await startCluster(await temporaryFolder(stack))
}

export interface TestSwarm {
  swarm: Swarm
  folder: string
  /** The first multiaddr, for another's bootstrap. */
  address: string
  stop(): Promise<void>
}

type TestOptions = Partial<SwarmOptions> & { cluster: Cluster; folder?: string; unstarted?: boolean }

/** On 127.0.0.1 and any port, without mDNS. */
export async function startSwarm(stack: AsyncDisposableStack, options: TestOptions): Promise<TestSwarm> {
  const { folder = await temporaryFolder(stack), unstarted = false, ...rest } = options
  const level = new Level<string, Uint8Array>(join(folder, 'db'), { valueEncoding: 'view' })
  await level.open()
  const swarm = await openSwarm({
    identity: await openIdentity(folder),
    database: level.sublevel<string, Uint8Array>('swarm', { valueEncoding: 'view' }),
    listen: { host: '127.0.0.1', port: 0 },
    mdns: false,
    announceAfterMs: 100,
    ...rest,
  })
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    stopped ??= (async () => {
      await swarm[Symbol.asyncDispose]()
      await level.close()
    })()
    await stopped
  }
  stack.defer(stop)
  if (!unstarted) await swarm.start()
  return { swarm, folder, address: swarm.addresses()[0] ?? '', stop }
}

/** Resolves when the condition holds; throws after `timeoutMs`, saying what was waited for. No promise of a speed: a busy machine is slow. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for: ${what}`)
    await delay(10)
  }
}

export function connected(a: TestSwarm, b: TestSwarm): boolean {
  return a.swarm.members.peers().includes(b.swarm.peerId) && b.swarm.members.peers().includes(a.swarm.peerId)
}
