/**
 * What others claim in the DHT to hold, as far as this node keeps it: so many claims in all, and so many a second. A claim
 * is one small entry for whoever connects, and libp2p bounds neither. Beyond that it is dropped: members that are connected
 * are asked without the DHT.
 */
import { type Clock, FairBudget } from '../../base/base.ts'
import type { DatabaseOperation, SwarmDatabase } from '../streams/datastore.ts'

export interface ClaimLimits {
  /** Claims that are kept at once; from half of it on only those of peers with less than an equal share are added. */
  total: number
  burst: number
  perSecond: number
}

export interface ClaimOptions {
  /** This node's peer id: what it announces itself is not counted. */
  self: string
  /** For durations. */
  clock: Clock
  limits?: Partial<ClaimLimits> | undefined
}

export interface ClaimsDatabase extends SwarmDatabase {
  /** Counts what is there already; claims that come meanwhile are kept. */
  count(signal: AbortSignal): Promise<void>
}

const defaultLimits: ClaimLimits = { total: 1_000_000, burst: 20_000, perSecond: 500 }
/** Who claims too fast waits so long for each, and libp2p reads its next message after that. */
const slowMs = 250
const prefix = '/dht/provider/'
const prefixEnd = '/dht/provider0'

/** Bounds the entries of other peers under the DHT's prefix for providers, and leaves all else as it is. */
export function boundClaims(database: SwarmDatabase, options: ClaimOptions): ClaimsDatabase {
  const { self, clock } = options
  const limits = { ...defaultLimits, ...options.limits }
  const budget = new FairBudget({ ...limits, now: () => clock.now() })
  const held = new Map<string, number>()
  let total = 0

  const add = (peer: string, by: number): void => {
    const count = Math.max(0, (held.get(peer) ?? 0) + by)
    total = Math.max(0, total + by)
    if (count === 0) held.delete(peer)
    else held.set(peer, count)
  }

  const hasRoom = (peer: string): boolean => {
    if (total < limits.total / 2) return true
    // One share more than there are peers: what is left is for those that have yet to come.
    return total < limits.total && (held.get(peer) ?? 0) * (held.size + 1) <= total
  }

  const peerOf = (key: string): string | undefined => {
    const peer = key.startsWith(prefix) ? key.slice(key.lastIndexOf('/') + 1) : self
    return peer === self ? undefined : peer
  }

  const claim = async (key: string, value: Uint8Array, peer: string): Promise<void> => {
    if (!budget.take(peer, 1)) {
      await clock.sleep(slowMs)
      return
    }
    if ((await database.get(key)) === undefined) {
      if (!hasRoom(peer)) return
      add(peer, 1)
    }
    await database.put(key, value)
  }

  const forget = (key: string): void => {
    const peer = peerOf(key)
    if (peer !== undefined) add(peer, -1)
  }

  return {
    get: (key) => database.get(key),
    async put(key, value) {
      const peer = peerOf(key)
      if (peer === undefined) await database.put(key, value)
      else await claim(key, value, peer)
    },
    async del(key) {
      forget(key)
      await database.del(key)
    },
    async batch(operations) {
      const through: DatabaseOperation[] = []
      for (const operation of operations) {
        const peer = operation.type === 'put' ? peerOf(operation.key) : undefined
        if (operation.type === 'del') forget(operation.key)
        if (operation.type === 'put' && peer !== undefined) await claim(operation.key, operation.value, peer)
        else through.push(operation)
      }
      if (through.length > 0) await database.batch(through)
    },
    iterator: (given) => database.iterator(given),
    async count(signal) {
      const entries = database.iterator({ gte: prefix, lt: prefixEnd, keys: true, values: false })
      try {
        for await (const [key] of entries) {
          signal.throwIfAborted()
          const peer = typeof key === 'string' ? peerOf(key) : undefined
          if (peer !== undefined) add(peer, 1)
        }
      } finally {
        await entries.close()
      }
    },
  }
}
