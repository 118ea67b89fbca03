/**
 * Tells the DHT what this node holds: one digest at a time, new ones first, and all of them again within an interval. What is held is
 * listed a 256th at a time when it is due, since a node may hold a million blobs.
 */
import {
  type Background,
  type Clock,
  type Logger,
  logFailure,
  type Metrics,
  RecentMap,
} from '../../base/base.ts'
import { type Digest, hexOf } from '../../oci/oci.ts'
import type { Members } from '../members/members.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'
import { cidOf } from './finder.ts'
import { fewMembers } from './routing-table.ts'

export interface Announcer {
  announce(digest: Digest): void
  withdraw(digest: Digest): void
  /** How many digests are announced, or wait for it: as they were counted last, and what changed since. */
  readonly size: number
}

export interface AnnouncerOptions {
  node: Libp2pNode
  members: Members
  /** Whether all members that are known are connected. */
  isComplete(): boolean
  /** What this node holds of which the hash begins with these two digits. */
  held(shard: string, options: { signal: AbortSignal }): AsyncIterable<Digest>
  tasks: Background
  clock: Clock
  random: () => number
  logger: Logger
  metrics: Metrics
  /** On average, before new digests are told; default by how many members there are, and whether all are connected. */
  settleMs?: number | undefined
}

/** A quarter of the time for which the DHT keeps a record, so that three attempts may fail. */
const intervalMs = 12 * 3600_000
const retryMs = 60_000
const shards = 256
/** What is beyond is told when its part of all that is held is due. */
const mostRecent = 16_384
/** Between two parts that are counted. */
const countRestMs = 100
const longestPauseMs = 30_000
const provideTimeoutMs = 20_000
/** Announcing takes at most a quarter of the time, since it costs the whole cluster's processors. */
const restFactor = 3
const minRestMs = 10
/**
 * What so many connected members announce, one more need not: an image that all hosts pull would be announced by all. Few
 * members are each asked for what is missing, so that one of them is enough for whoever joins later.
 */
const enoughHolders = { amongFew: 1, amongMany: 3 }
/**
 * An announcement costs the processors of all members, and the DHT can wait until the push or pull that brought the content is
 * over. Longest while few members are all connected: then nobody looks there, and by that time most is announced by another.
 */
const settleMs = { amongAll: 10 * 60_000, amongFew: 15_000, amongMany: 1000 }

export function createAnnouncer(options: AnnouncerOptions): Announcer {
  const { node, members, isComplete, held, tasks, clock, random, logger, metrics } = options
  /** The newest last. */
  const fresh = new RecentMap<Digest, true>(mostRecent)
  /** What need not be told when it comes again, and when it is tried again if nobody took note. */
  const told = new RecentMap<Digest, number>(mostRecent)
  const counts = new Uint32Array(shards)
  /** Of the part that is told now, what was not withdrawn since it was listed. */
  let listed = new Set<Digest>()
  let shard = Math.floor(random() * shards)
  let shardMs = clock.now()
  /** When the first of those came that are fresh now, and by how much they wait longer than others. */
  let batch = { sinceMs: 0, factor: 1 }
  let wake: () => void = () => undefined

  const noteHeld = (digest: Digest, by: 1 | -1): void => {
    const at = Number.parseInt(hexOf(digest).slice(0, 2), 16)
    counts[at] = Math.max(0, (counts[at] ?? 0) + by)
  }

  const isFew = (): boolean => members.peers().length <= fewMembers

  const settle = (): number => {
    if (options.settleMs !== undefined) return options.settleMs
    if (!isFew()) return settleMs.amongMany
    return isComplete() ? settleMs.amongAll : settleMs.amongFew
  }

  /** How long fresh ones still wait. */
  const settlingMs = (): number =>
    fresh.size === 0 ? 0 : Math.max(0, batch.sinceMs + settle() * batch.factor - clock.now())

  /** Resolves to how many members took note. */
  const provide = async (digest: Digest, signal: AbortSignal): Promise<number> => {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(provideTimeoutMs)])
    let took = 0
    for await (const event of node.services.dht.provide(cidOf(digest), { signal: bounded })) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') took++
    }
    metrics.count('shoal_dht_announcements_total', { told: took === 0 ? 'nobody' : 'some' })
    return took
  }

  /** How many connected members announce it, as far as this node's own part of the DHT tells. */
  const othersAnnouncing = async (digest: Digest, signal: AbortSignal): Promise<number> => {
    const connected = new Set(members.peers())
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(provideTimeoutMs)])
    // The first event tells what is known here; what follows would ask others.
    for await (const event of node.services.dht.findProviders(cidOf(digest), { signal: bounded })) {
      if (event.name !== 'PEER_RESPONSE' || !event.from.equals(node.peerId)) return 0
      return event.providers.filter(({ id }) => connected.has(id.toString())).length
    }
    return 0
  }

  const announceOne = async (digest: Digest, signal: AbortSignal): Promise<void> => {
    const startMs = clock.now()
    let took = 0
    told.set(digest, Number.POSITIVE_INFINITY)
    try {
      const enough = isFew() ? enoughHolders.amongFew : enoughHolders.amongMany
      if (isComplete() && (await othersAnnouncing(digest, signal)) >= enough) return
      took = await provide(digest, signal)
    } catch (error) {
      signal.throwIfAborted()
      logger.debug({ err: error, digest }, 'announcing failed; it will be tried again')
    }
    // A node that has just joined knows nobody in the DHT yet.
    if (took === 0 && told.has(digest)) told.set(digest, clock.now() + retryMs)
    await clock.sleep(Math.max(minRestMs, restFactor * (clock.now() - startMs)), { signal })
  }

  const announceFresh = async (signal: AbortSignal): Promise<void> => {
    while (fresh.size > 0 && settlingMs() === 0)
      // It may be gone meanwhile.
      for (const digest of [...fresh.keys()].reverse())
        if (fresh.delete(digest)) await announceOne(digest, signal)
  }

  /** Those of whom nobody took note. */
  const announceAgain = async (signal: AbortSignal): Promise<void> => {
    for (const [digest, againMs] of [...told]) {
      if (againMs > clock.now()) continue
      await announceFresh(signal)
      // It may be gone, or told, meanwhile.
      if (told.get(digest) === againMs) await announceOne(digest, signal)
    }
  }

  const announceShard = async (signal: AbortSignal): Promise<void> => {
    shardMs = clock.now() + intervalMs / shards
    try {
      // All of it first: telling it takes long, and an iterator keeps the database from giving back room.
      listed = new Set(await Array.fromAsync(held(nameOf(shard), { signal })))
      counts[shard] = listed.size
      for (const digest of listed) {
        if (members.peers().length === 0) return
        await announceFresh(signal)
        if (listed.has(digest) && !fresh.has(digest)) await announceOne(digest, signal)
      }
    } catch (error) {
      signal.throwIfAborted()
      logFailure(logger, error, 'what is stored could not be listed for announcing')
    } finally {
      listed = new Set()
    }
    shard = (shard + 1) % shards
  }

  /** For who asks before all of them had their turn. */
  const countAll = async (signal: AbortSignal): Promise<void> => {
    for (let at = 0; at < shards; at++) {
      let count = 0
      for await (const _ of held(nameOf(at), { signal })) count++
      counts[at] = count
      await clock.sleep(countRestMs, { signal })
    }
  }

  const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
    const woken = new AbortController()
    wake = () => woken.abort()
    const either = AbortSignal.any([signal, woken.signal])
    try {
      await clock.sleep(ms, { signal: either })
    } catch (error) {
      if (!either.aborted) throw error
    }
  }

  tasks.start('announcer', async (signal) => {
    while (!signal.aborted) {
      // Alone, a node would tell nobody; the first member that joins wakes it.
      if (members.peers().length === 0) {
        await pause(60_000, signal)
        continue
      }
      await announceFresh(signal)
      await announceAgain(signal)
      if (clock.now() >= shardMs) await announceShard(signal)
      const nextMs = Math.min(shardMs - clock.now(), fresh.size > 0 ? settlingMs() : longestPauseMs)
      // No longer than this: whether all members are connected may change without a word.
      if (nextMs > 0) await pause(Math.min(nextMs, longestPauseMs), signal)
    }
  })
  tasks.start('counting what is announced', countAll)

  // The first member makes announcing useful, and one that is gone makes it urgent.
  members.onChange(() => wake())

  return {
    announce(digest) {
      // Told already, or about to be.
      if (fresh.has(digest) || told.has(digest)) return
      const isFirst = fresh.size === 0
      if (isFirst) batch = { sinceMs: clock.now(), factor: 0.5 + random() }
      fresh.set(digest, true)
      noteHeld(digest, 1)
      // The rest wait as long as the first.
      if (isFirst) wake()
    },
    withdraw(digest) {
      fresh.delete(digest)
      told.delete(digest)
      listed.delete(digest)
      noteHeld(digest, -1)
      tasks.start('withdraw', async (signal) => {
        await node.services.dht.cancelReprovide(cidOf(digest), { signal })
      })
    },
    get size() {
      return counts.reduce((sum, count) => sum + count, 0)
    },
  }
}

/** The first two digits of the hashes in it. */
function nameOf(shard: number): string {
  return shard.toString(16).padStart(2, '0')
}
