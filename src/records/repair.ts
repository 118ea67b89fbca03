/**
 * Repair: what gossip missed is brought by reconciliation, with every member that connects and with a random one at
 * intervals. A round that changed something is followed by another one soon, so that news crosses any shape of cluster in
 * a logarithm of rounds.
 *
 * A node begins one round at a time and answers one, as long as they get somewhere: rounds with several members would bring
 * the same records several times, and after the first the others find little to do. But no member waits for another
 * (slots.ts), and what a node begins takes no turn from what it answers. Who is turned away tries again soon.
 */
import { type Clock, type Logger, type Metrics, steadyClock } from '../base/base.ts'
import type { Channel } from '../wire/wire.ts'
import type { Ledger } from './ledger.ts'
import { answerReconciliation, type ReconcileReport, reconcile } from './reconcile.ts'
import { type Slot, Slots } from './slots.ts'

/** The other members, as far as repair needs them. */
export interface RepairPeers {
  readonly self: string
  /** Peer ids of those connected. */
  peers(): string[]
  /** Returns the unsubscriber. */
  onJoin(listener: (peer: string) => void): () => void
  open(peer: string, options: { signal: AbortSignal }): Promise<Channel>
  /** The peer broke the protocol. */
  penalise(peer: string): void
}

export interface RepairOptions {
  ledger: Ledger
  peers: RepairPeers
  /** What members are compared with. */
  clock: Clock
  /** For durations. Default the process's own. */
  steady?: Clock
  /** From 0 to 1. */
  random: () => number
  logger: Logger
  metrics: Metrics
  /** Mean time between rounds when nothing changes. Default 30 s. */
  intervalMs?: number
}

export interface Repair extends AsyncDisposable {
  /** Serves a member that began a round, and has it penalised when it breaks the protocol. */
  answer(channel: Channel, peer: string, options: { signal: AbortSignal }): Promise<void>
  /** In words, while this node's clock and those of most members differ so much that records may soon be refused. */
  clockProblem(): string | undefined
}

const soonMs = 1_000
/** A round that brought nothing for so long is no reason to have others wait. */
const patienceMs = 3_000
const maxBegun = 2
const maxAnswered = 4
/** Less than the silence at which the other side gives up. */
const maxWaitMs = 5_000
const maxOffsets = 256
/** Half of what the others tolerate before they refuse a record. */
const maxClockOffsetMs = 150_000

/** Repairs until it is disposed of. */
export function openRepair(options: RepairOptions): Repair {
  const { ledger, peers, clock, random, logger, metrics, intervalMs = 30_000 } = options
  const { steady = steadyClock } = options
  const closing = new AbortController()
  const { signal } = closing
  const begun = new Slots({ limit: maxBegun, patienceMs, clock: steady, random })
  const answered = new Slots({ limit: maxAnswered, patienceMs, maxWaitMs, clock: steady, random })
  const rounds = new Set<Promise<void>>()
  const busy = new Set<string>()
  const offsets = new Map<string, number>()
  let wake: () => void = () => undefined
  let clockProblem: string | undefined

  /** Resolves to whether something changed on either side. */
  async function round(peer: string, slot: Slot): Promise<boolean> {
    const either = AbortSignal.any([signal, slot.signal])
    const onApplied = (): void => slot.advanced()
    try {
      const channel = await peers.open(peer, { signal: either })
      const report = await reconcile(channel, ledger, { clock, random, signal: either, onApplied })
      remember(peer, report)
      count('begun', report)
      return report.applied + report.recordsSent > 0
    } catch (error) {
      brokeOff(peer, 'begun', error)
      if (codeOf(error) === 'CHANNEL_BROKEN' && !slot.signal.aborted) {
        busy.add(peer)
        wake()
      }
      return false
    }
  }

  function count(role: 'begun' | 'answered', { bytesSent, bytesReceived }: ReconcileReport): void {
    metrics.count('shoal_reconciliations_total', { role, result: 'done' })
    metrics.count('shoal_reconciliation_bytes_total', { direction: 'sent' }, bytesSent)
    metrics.count('shoal_reconciliation_bytes_total', { direction: 'received' }, bytesReceived)
  }

  function brokeOff(peer: string, role: 'begun' | 'answered', error: unknown): void {
    if (signal.aborted) return
    metrics.count('shoal_reconciliations_total', { role, result: 'broken' })
    if (codeOf(error) === 'PEER_MISBEHAVED') peers.penalise(peer)
    logger.debug({ err: error, peer }, 'reconciliation broke off')
  }

  function rememberClock(peer: string, { aheadMs }: ReconcileReport): void {
    offsets.delete(peer)
    offsets.set(peer, aheadMs)
    const [oldest] = offsets.keys()
    if (offsets.size > maxOffsets && oldest !== undefined) offsets.delete(oldest)
    judgeClock()
  }

  function remember(peer: string, report: ReconcileReport): void {
    rememberClock(peer, report)
    const { applied, recordsSent, refused, bytesSent, bytesReceived } = report
    if (applied + recordsSent + refused === 0) return
    logger.info({ peer, applied, recordsSent, refused, bytesSent, bytesReceived }, 'reconciled with a member')
  }

  /** Only when most members disagree with this clock: one whose own is wrong must not make everyone doubt theirs. */
  function judgeClock(): void {
    const known = [...offsets]
      .filter(([peer]) => peers.peers().includes(peer))
      .map(([, offsetMs]) => offsetMs)
    const off = known.filter((offsetMs) => Math.abs(offsetMs) > maxClockOffsetMs)
    const enough = known.length >= Math.min(2, peers.peers().length)
    const offsetMs = enough && 2 * off.length > known.length ? (off[0] ?? 0) : 0
    const before = clockProblem
    clockProblem = Math.abs(offsetMs) > maxClockOffsetMs ? describeOffset(offsetMs) : undefined
    if (clockProblem !== undefined && before === undefined) logger.warn({ offsetMs }, clockProblem)
  }

  async function begin(peer: string): Promise<void> {
    using slot = await begun.enter(peer)
    // While it waited it may have left.
    if (slot === undefined || !peers.peers().includes(peer)) return
    if (await round(peer, slot)) wake()
  }

  function start(peer: string): void {
    if (signal.aborted) return
    const beginning = begin(peer).finally(() => rounds.delete(beginning))
    rounds.add(beginning)
  }

  /** A member that was busy, or any. */
  function choose(): string | undefined {
    const others = peers.peers()
    for (const peer of busy) {
      busy.delete(peer)
      if (others.includes(peer)) return peer
    }
    return others[Math.floor(random() * others.length)]
  }

  async function loop(): Promise<void> {
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve
        if (busy.size > 0) resolve()
      })
      // Jitter keeps members that started together from working in step.
      await Promise.race([
        pause(intervalMs * (0.5 + random())),
        woken.then(() => pause(soonMs * (0.5 + random()))),
      ])
      const chosen = choose()
      if (chosen !== undefined) start(chosen)
    }
  }

  async function pause(ms: number): Promise<void> {
    try {
      await clock.sleep(ms, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  // Of two that meet one is enough to begin; the ids say which.
  const unsubscribe = peers.onJoin((peer) => {
    if (peers.self < peer) start(peer)
  })
  for (const peer of peers.peers()) if (peers.self < peer) start(peer)
  const working = loop()
  metrics.gauge('shoal_clock_wrong', () => (clockProblem === undefined ? 0 : 1))

  return {
    async answer(channel, peer, options) {
      using slot = await answered.enter(peer)
      if (slot === undefined) {
        await channel.close()
        return
      }
      const either = AbortSignal.any([options.signal, slot.signal])
      try {
        const report = await answerReconciliation(channel, ledger, { clock, signal: either })
        rememberClock(peer, report)
        count('answered', report)
        if (report.applied > 0) wake()
      } catch (error) {
        brokeOff(peer, 'answered', error)
      }
    },
    clockProblem: () => clockProblem,
    async [Symbol.asyncDispose]() {
      unsubscribe()
      closing.abort(new Error('repair stops'))
      begun.close()
      answered.close()
      await Promise.allSettled([working, ...rounds])
    },
  }
}

function describeOffset(offsetMs: number): string {
  const seconds = Math.round(Math.abs(offsetMs) / 1000)
  const direction = offsetMs > 0 ? 'behind' : 'ahead of'
  return `this node's clock is ${seconds} s ${direction} those of most members; set it, or what is pushed here will not count`
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
