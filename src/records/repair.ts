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
import type { Ledger } from './ledger-contract.ts'
import type { MembersTime } from './members-time.ts'
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
  /** The operator or the policy names it. */
  isNamed(peer: string): boolean
  /** The peer broke the protocol. */
  penalise(peer: string): void
}

export interface RepairOptions {
  ledger: Ledger
  peers: RepairPeers
  /** Told what members say of the time. */
  time: MembersTime
  /** What members are compared with. */
  clock: Clock
  /** For durations. Default the process's own. */
  steady?: Clock
  /** From 0 to 1. */
  random: () => number
  /** A reconciliation with a member ended well. */
  onReconciled?: () => void
  logger: Logger
  metrics: Metrics
  /** Mean time between rounds when nothing changes. Default 30 s. */
  intervalMs?: number
}

export interface Repair extends AsyncDisposable {
  /** Serves a member that began a round, and has it penalised when it breaks the protocol. */
  answer(channel: Channel, peer: string, options: { signal: AbortSignal }): Promise<void>
}

const soonMs = 1_000
/** A round that brought nothing for so long is no reason to have others wait. */
const patienceMs = 3_000
const maxBegun = 2
const maxAnswered = 4
/** Less than the silence at which the other side gives up. */
const maxWaitMs = 5_000

/** Repairs until it is disposed of. */
export function openRepair(options: RepairOptions): Repair {
  const { ledger, peers, time, clock, random, logger, metrics, intervalMs = 30_000 } = options
  const { steady = steadyClock } = options
  const closing = new AbortController()
  const { signal } = closing
  const begun = new Slots({ limit: maxBegun, patienceMs, clock: steady, random })
  const answered = new Slots({ limit: maxAnswered, patienceMs, maxWaitMs, clock: steady, random })
  const rounds = new Set<Promise<void>>()
  const busy = new Set<string>()
  let wake: () => void = () => undefined
  let wasWrong = false
  let wasBusy = false

  /** Resolves to whether something changed on either side. */
  async function round(peer: string, slot: Slot): Promise<boolean> {
    const either = AbortSignal.any([signal, slot.signal])
    const onApplied = (): void => slot.advanced()
    const onClock = (aheadMs: number): void => hearClock(peer, aheadMs)
    try {
      const channel = await peers.open(peer, { signal: either })
      const report = await reconcile(channel, ledger, { clock, random, signal: either, onApplied, onClock })
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
    options.onReconciled?.()
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

  /** Told at its first word, not when all of it went well: what goes wrong may be because of the clock. */
  function hearClock(peer: string, aheadMs: number): void {
    time.hear(peer, aheadMs)
    const problem = time.problem()
    if (problem !== undefined && !wasWrong) logger.warn({ peer, aheadMs }, problem)
    wasWrong = problem !== undefined
  }

  function remember(peer: string, report: ReconcileReport): void {
    const { applied, recordsSent, refused, bytesSent, bytesReceived } = report
    if (applied + recordsSent + refused === 0) return
    logger.info({ peer, applied, recordsSent, refused, bytesSent, bytesReceived }, 'reconciled with a member')
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

  /** A member that was busy, or every other time any: who is busy whenever it is asked keeps nobody else from its turn. */
  function choose(): string | undefined {
    const others = peers.peers()
    wasBusy = !wasBusy
    for (const peer of wasBusy ? busy : []) {
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

  time.trust({
    isConnected: (peer) => peers.peers().includes(peer),
    isNamed: (peer) => peers.isNamed(peer),
  })
  // Of two that meet one is enough to begin; the ids say which.
  const unsubscribe = peers.onJoin((peer) => {
    if (peers.self < peer) start(peer)
  })
  for (const peer of peers.peers()) if (peers.self < peer) start(peer)
  const working = loop()
  metrics.gauge('shoal_clock_wrong', () => (time.problem() === undefined ? 0 : 1))

  return {
    async answer(channel, peer, options) {
      using slot = await answered.enter(peer)
      if (slot === undefined) {
        await channel.close()
        return
      }
      const either = AbortSignal.any([options.signal, slot.signal])
      const onClock = (aheadMs: number): void => hearClock(peer, aheadMs)
      try {
        const report = await answerReconciliation(channel, ledger, { clock, signal: either, onClock })
        count('answered', report)
        if (report.applied > 0) wake()
      } catch (error) {
        brokeOff(peer, 'answered', error)
      }
    },
    async [Symbol.asyncDispose]() {
      unsubscribe()
      closing.abort(new Error('repair stops'))
      begun.close()
      answered.close()
      await Promise.allSettled([working, ...rounds])
    },
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
