/** Tells the DHT what this node holds: one digest at a time, new ones first, the others spread over an interval. */
import type { Background, Clock, Logger, Metrics } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import type { Members } from '../members/members.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'
import { DueTimes } from './due-times.ts'
import { cidOf } from './finder.ts'
import { fewMembers } from './routing-table.ts'

export interface Announcer {
  announce(digest: Digest): void
  resume(digest: Digest): void
  withdraw(digest: Digest): void
  /** How many digests are announced, or wait for it. */
  readonly size: number
}

export interface AnnouncerOptions {
  node: Libp2pNode
  members: Members
  /** Whether all members that are known are connected. */
  isComplete(): boolean
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
  const { node, members, isComplete, tasks, clock, random, logger, metrics } = options
  const due = new DueTimes()
  /** The newest last, each at most once. */
  const fresh: Digest[] = []
  const waiting = new Set<Digest>()
  /** When the first of those came that are fresh now, and by how much they wait longer than others. */
  let batch = { sinceMs: 0, factor: 1 }
  let wake: () => void = () => undefined

  const isFew = (): boolean => members.peers().length <= fewMembers

  const settle = (): number => {
    if (options.settleMs !== undefined) return options.settleMs
    if (!isFew()) return settleMs.amongMany
    return isComplete() ? settleMs.amongAll : settleMs.amongFew
  }

  /** How long fresh ones still wait. */
  const settlingMs = (): number =>
    fresh.length === 0 ? 0 : Math.max(0, batch.sinceMs + settle() * batch.factor - clock.now())

  const later = (): number => clock.now() + intervalMs * (0.8 + 0.4 * random())

  const takeFresh = (): Digest | undefined => {
    while (true) {
      const newest = fresh.pop()
      if (newest === undefined) return undefined
      waiting.delete(newest)
      if (due.has(newest)) return newest
    }
  }

  /** Resolves to how many members took note. */
  const provide = async (digest: Digest, signal: AbortSignal): Promise<number> => {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(provideTimeoutMs)])
    let told = 0
    for await (const event of node.services.dht.provide(cidOf(digest), { signal: bounded })) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') told++
    }
    metrics.count('shoal_dht_announcements_total', { told: told === 0 ? 'nobody' : 'some' })
    return told
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
    let told = 0
    try {
      const enough = isFew() ? enoughHolders.amongFew : enoughHolders.amongMany
      if (isComplete() && (await othersAnnouncing(digest, signal)) >= enough) {
        if (due.has(digest)) due.set(digest, later())
        return
      }
      told = await provide(digest, signal)
    } catch (error) {
      signal.throwIfAborted()
      logger.debug({ err: error, digest }, 'announcing failed; it will be tried again')
    }
    // A node that has just joined knows nobody in the DHT yet.
    if (due.has(digest)) due.set(digest, told > 0 ? later() : clock.now() + retryMs)
    await clock.sleep(Math.max(minRestMs, restFactor * (clock.now() - startMs)), { signal })
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
      const waitMs = settlingMs()
      if (waitMs > 0) {
        // No longer than this: whether all members are connected may change without a word.
        await pause(Math.min(waitMs, 30_000), signal)
        continue
      }
      for (let next = takeFresh(); next !== undefined; next = takeFresh()) await announceOne(next, signal)
      for (const digest of due.overdue(clock.now())) {
        if (fresh.length > 0) break
        await announceOne(digest, signal)
      }
      if (fresh.length === 0) await pause(30_000, signal)
    }
  })

  // The first member makes announcing useful, and one that is gone makes it urgent.
  members.onChange(() => wake())

  return {
    announce(digest) {
      // Told already, or about to be.
      if (due.has(digest)) return
      due.set(digest, later())
      if (waiting.has(digest)) return
      const isFirst = fresh.length === 0
      if (isFirst) batch = { sinceMs: clock.now(), factor: 0.5 + random() }
      fresh.push(digest)
      waiting.add(digest)
      // The rest wait as long as the first.
      if (isFirst) wake()
    },
    resume(digest) {
      if (!due.has(digest)) due.set(digest, clock.now() + intervalMs * random())
    },
    withdraw(digest) {
      if (!due.delete(digest)) return
      tasks.start('withdraw', async (signal) => {
        await node.services.dht.cancelReprovide(cidOf(digest), { signal })
      })
    },
    get size() {
      return due.size
    },
  }
}
