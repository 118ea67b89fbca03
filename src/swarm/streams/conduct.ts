/** How peers have behaved: penalties that fade, and who is refused for a while because of them. */
import type { Clock, Logger, Metrics } from '../../base/base.ts'

/** What a peer did; each is counted under its name. */
export type Misdeed = 'invalid-message' | 'invalid-record' | 'wrong-bytes' | 'protocol'

export interface Conduct {
  /** Adds a misdeed's points; at 90 the peer is disconnected and refused for 10 minutes. */
  penalise(peer: string, misdeed: Misdeed): void
  /** Points now: they halve every minute. */
  pointsOf(peer: string): number
  isRefused(peer: string): boolean
}

export interface ConductOptions {
  clock: Clock
  logger: Logger
  metrics: Metrics
  /** Closes what is open to the peer. */
  disconnect(peer: string): void
}

/** Twenty invalid messages, or four wrong bodies, within nine seconds; more of them over a longer time. */
const points: Record<Misdeed, number> = {
  'invalid-message': 5,
  'invalid-record': 5,
  'wrong-bytes': 25,
  protocol: 10,
}
/** Less than what those add up to: points fade from the first millisecond on. */
const refusalPoints = 90
const refusalMs = 10 * 60_000
const halfLifeMs = 60_000
const maxPeers = 4096

interface Entry {
  points: number
  atMs: number
  refusedUntilMs: number
}

export function createConduct({ clock, logger, metrics, disconnect }: ConductOptions): Conduct {
  const entries = new Map<string, Entry>()

  const current = (entry: Entry): number => entry.points * 0.5 ** ((clock.now() - entry.atMs) / halfLifeMs)

  const entryOf = (peer: string): Entry => {
    const known = entries.get(peer)
    if (known !== undefined) return known
    const [oldest] = entries.keys()
    if (entries.size >= maxPeers && oldest !== undefined) entries.delete(oldest)
    const entry = { points: 0, atMs: clock.now(), refusedUntilMs: 0 }
    entries.set(peer, entry)
    return entry
  }

  return {
    penalise(peer, misdeed) {
      metrics.count('shoal_swarm_misdeeds_total', { misdeed })
      const entry = entryOf(peer)
      entry.points = current(entry) + points[misdeed]
      entry.atMs = clock.now()
      if (entry.points < refusalPoints || entry.refusedUntilMs > clock.now()) return
      entry.refusedUntilMs = clock.now() + refusalMs
      metrics.count('shoal_swarm_expulsions_total')
      logger.warn(
        { peer, misdeed, refusedMinutes: refusalMs / 60_000 },
        'peer misbehaves and is refused for a while',
      )
      disconnect(peer)
    },
    pointsOf(peer) {
      const entry = entries.get(peer)
      return entry === undefined ? 0 : current(entry)
    },
    isRefused(peer) {
      return (entries.get(peer)?.refusedUntilMs ?? 0) > clock.now()
    },
  }
}
