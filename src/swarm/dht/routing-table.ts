/**
 * Fills this node's part of the DHT's routing table, by looking for who is near it and for who is anywhere. Whoever is connected is in
 * the table without that: few members who are all connected find nobody by it, and each look is a stream to every one of them.
 */
import { randomBytes } from 'node:crypto'
import type { KadDHT } from '@libp2p/kad-dht'
import type { Background, Clock, Logger } from '../../base/base.ts'
import type { Members } from '../members/members.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'

/** Up to so many members need no DHT while they are all connected: each is asked, and told, by itself. */
export const fewMembers = 32

export interface RoutingTableOptions {
  node: Pick<Libp2pNode, 'peerId'> & { services: { dht: Pick<KadDHT, 'getClosestPeers'> } }
  members: Pick<Members, 'peers' | 'onChange'>
  /** Whether all members that are known are connected. */
  isComplete(): boolean
  tasks: Background
  clock: Clock
  random: () => number
  logger: Logger
}

const tickMs = 60_000
const timeoutMs = 10_000
/** A few that are not all there are looked for ever more seldom: those who are away come by themselves. */
const mostTicks = 32
/** Who is anywhere is looked for so often as who is near this node. */
const anywhereShare = 1 / 5
const hashBytes = 32

export function fillRoutingTable(options: RoutingTableOptions): void {
  const { node, members, isComplete, tasks, clock, random, logger } = options
  let pause = 1
  let left = 1

  const look = async (key: Uint8Array, signal: AbortSignal): Promise<void> => {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    try {
      // Whom the answers name gets into the table by itself.
      for await (const _ of node.services.dht.getClosestPeers(key, { signal: bounded }))
        bounded.throwIfAborted()
    } catch (error) {
      signal.throwIfAborted()
      logger.debug({ err: error }, 'looking for members in the DHT was not finished')
    }
  }

  members.onChange(() => {
    pause = 1
    left = 1
  })
  tasks.every('routing table', tickMs, { clock, random }, async (signal) => {
    const count = members.peers().length
    const isFew = count <= fewMembers
    if (count === 0 || (isFew && isComplete())) return
    if (--left > 0) return
    pause = isFew ? Math.min(mostTicks, pause * 2) : 1
    left = pause
    await look(node.peerId.toMultihash().bytes, signal)
    if (random() < anywhereShare) await look(randomBytes(hashBytes), signal)
  })
}
