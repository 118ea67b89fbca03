/** Keeps the node connected: dials bootstrap addresses, peers known from before, and those that were discovered or lost. */
import { peerIdFromString } from '@libp2p/peer-id'
import type { Background, Clock, Logger } from '../base/base.ts'
import { isPeerId, parseMultiaddr, peerOf } from './addresses.ts'
import type { Libp2pNode } from './libp2p-node.ts'

export interface Dialer {
  /** Dials the peer soon unless it is connected; `addresses` are added to those known. */
  learn(peer: string, addresses: string[]): void
  /** Whether every member that this node knows of, or was told to find, is connected. */
  isComplete(): boolean
  /** Begins to dial. */
  start(): Promise<void>
}

export interface DialerOptions {
  node: Libp2pNode
  tasks: Background
  clock: Clock
  random: () => number
  logger: Logger
  /** Multiaddrs, with or without a peer id. */
  bootstrap: string[]
  isUnwelcome(peer: string): boolean
}

/** The node seeks this many members by itself; others may still connect to it. */
const enoughMembers = 64
const maxTargets = 1024
const maxDials = 8
const dialTimeoutMs = 8000
const minuteMs = 60_000

interface Target {
  /** Known except for a bootstrap address without one, until it has answered. */
  peer: string | undefined
  address: string | undefined
  dueMs: number
  failures: number
  lostMs: number
  dialling: boolean
}

export function createDialer(options: DialerOptions): Dialer {
  const { node, tasks, clock, random, logger, bootstrap, isUnwelcome } = options
  const targets = new Map<string, Target>()
  let wake: () => void = () => undefined

  /** A member that was lost minutes ago comes back as soon as a partition heals; one that is long gone is asked rarely. */
  const backoffMs = (target: Target): number => {
    const goneMs = clock.now() - target.lostMs
    const capMs =
      target.address !== undefined || goneMs < 10 * minuteMs
        ? 3000
        : goneMs < 1440 * minuteMs
          ? 30_000
          : 300_000
    return Math.min(capMs, 500 * 2 ** Math.min(target.failures, 10)) * (0.75 + 0.5 * random())
  }

  const add = (key: string, target: Pick<Target, 'peer' | 'address' | 'lostMs'>, delayMs: number): void => {
    const dueMs = clock.now() + delayMs
    const known = targets.get(key)
    if (known !== undefined) {
      known.lostMs = Math.max(known.lostMs, target.lostMs)
      known.dueMs = Math.min(known.dueMs, dueMs)
    } else if (targets.size < maxTargets) {
      targets.set(key, { ...target, dueMs, failures: 0, dialling: false })
    }
    wake()
  }

  const isConnected = ({ peer }: Target): boolean =>
    peer !== undefined && node.getConnections(peerIdFromString(peer)).length > 0

  const dial = async (target: Target): Promise<void> => {
    const signal = AbortSignal.any([tasks.signal, AbortSignal.timeout(dialTimeoutMs)])
    target.dialling = true
    try {
      const to =
        target.peer === undefined ? parseMultiaddr(target.address ?? '') : peerIdFromString(target.peer)
      const connection = await node.dial(to, { signal })
      target.peer = connection.remotePeer.toString()
      target.failures = 0
    } catch (error) {
      target.failures++
      const { peer, address, failures } = target
      if (failures === 1)
        logger.debug({ err: error, peer, address }, 'dialling failed; it will be tried again')
    } finally {
      target.dialling = false
      target.dueMs = clock.now() + backoffMs(target)
    }
  }

  const round = (): void => {
    let free = maxDials - [...targets.values()].filter(({ dialling }) => dialling).length
    const byAge = [...targets].sort(([, a], [, b]) => a.dueMs - b.dueMs)
    for (const [key, target] of byAge) {
      if (free <= 0 || target.dueMs > clock.now()) break
      if (target.dialling) continue
      if (isConnected(target)) {
        target.failures = 0
        // A lost connection brings it back; a bootstrap address stays, in case everybody else is gone.
        if (target.address === undefined) targets.delete(key)
        else target.dueMs = clock.now() + minuteMs
        continue
      }
      const enough = node.getPeers().length >= enoughMembers
      if (enough || (target.peer !== undefined && isUnwelcome(target.peer))) {
        target.dueMs = clock.now() + minuteMs
        continue
      }
      free--
      tasks.start('dial', async () => {
        await dial(target)
        wake()
      })
    }
  }

  const loop = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      round()
      const waiting = [...targets.values()].filter(({ dialling }) => !dialling)
      const nextMs = Math.min(clock.now() + minuteMs, ...waiting.map(({ dueMs }) => dueMs))
      const woken = new AbortController()
      wake = () => woken.abort()
      const either = AbortSignal.any([signal, woken.signal])
      try {
        await clock.sleep(Math.max(50, nextMs - clock.now()), { signal: either })
      } catch (error) {
        if (!either.aborted) throw error
      }
    }
  }

  node.addEventListener('peer:discovery', ({ detail }) => {
    const peer = detail.id.toString()
    if (detail.multiaddrs.length > 0)
      add(peer, { peer, address: undefined, lostMs: clock.now() }, 50 * random())
  })
  node.addEventListener('peer:disconnect', ({ detail }) => {
    const peer = detail.toString()
    add(peer, { peer, address: undefined, lostMs: clock.now() }, 200 + 800 * random())
  })

  const remember = async (peer: string, addresses: string[]): Promise<void> => {
    await node.peerStore.merge(peerIdFromString(peer), { multiaddrs: addresses.map(parseMultiaddr) })
  }

  return {
    learn(peer, addresses) {
      if (peer === node.peerId.toString() || node.getConnections(peerIdFromString(peer)).length > 0) return
      tasks.start('learn', async () => {
        await remember(peer, addresses)
        // A peer that others reach and this node does not keeps its slower pace.
        add(peer, { peer, address: undefined, lostMs: targets.get(peer)?.lostMs ?? clock.now() }, 0)
      })
    },

    isComplete: () =>
      [...targets.values()].every(
        (target) => isConnected(target) || (target.peer !== undefined && isUnwelcome(target.peer)),
      ),

    async start() {
      for (const address of bootstrap) {
        const peer = peerOf(parseMultiaddr(address))
        if (peer === node.peerId.toString() || (peer !== undefined && !isPeerId(peer))) continue
        if (peer !== undefined) await remember(peer, [address])
        add(address, { peer, address, lostMs: clock.now() }, 0)
      }
      for (const { id, addresses } of await node.peerStore.all()) {
        const peer = id.toString()
        if (addresses.length === 0 || !isPeerId(peer)) continue
        add(peer, { peer, address: undefined, lostMs: clock.now() - 9 * minuteMs }, 300 * random())
      }
      tasks.start('dialer', loop)
    },
  }
}
