/**
 * When a lease holds, and when it is worth writing a newer one.
 *
 * Leases are read against a time of the store's own, which goes on only while the store is open: from where the last run
 * left it, by a clock that nobody sets. So a host that starts with its clock years ahead, or was off for a month, finds
 * nothing older than it was.
 */
import type { Clock, Logger } from '../../base/base.ts'
import { type Tables, timeKey } from '../database/database.ts'

/** How far the time may have come without being written: what a kill loses of it. */
const saveEveryMs = 10 * 60_000
/** A lease from further ahead than a kill can leave was written by another clock, and must not hold content for years. */
const maxAheadMs = 6 * saveEveryMs

export class Leases {
  readonly #clock: Clock
  readonly #offsetMs: number
  readonly #renewMs: number

  /** A lease is written again once a quarter of the grace time has passed, so that reads hardly ever write. */
  constructor(clock: Clock, graceMs: number, { startMs = clock.now() }: { startMs?: number } = {}) {
    this.#clock = clock
    this.#offsetMs = startMs - clock.now()
    this.#renewMs = graceMs / 4
  }

  now(): number {
    return this.#clock.now() + this.#offsetMs
  }

  isFresh(leaseMs: number): boolean {
    return this.isYoung(leaseMs, this.#renewMs)
  }

  /** Whether it may have been asked for within `ms`, or within the grace time where that is shorter: not each time is written. */
  mayBePromised(leaseMs: number, ms: number): boolean {
    return this.isYoung(leaseMs, Math.min(4 * this.#renewMs, this.#renewMs + ms))
  }

  isYoung(leaseMs: number, ms: number): boolean {
    const ageMs = this.now() - leaseMs
    return ageMs >= -maxAheadMs && Math.max(0, ageMs) < ms
  }
}

export async function openLeases(
  tables: Tables,
  { clock, graceMs, logger }: { clock: Clock; graceMs: number; logger: Logger },
): Promise<Leases> {
  const saved = await tables.facts.get(timeKey)
  if (saved !== undefined) return new Leases(clock, graceMs, { startMs: Number(saved) })
  const leases = new Leases(clock, graceMs)
  // At once: a run that is killed soon must not leave leases to one that begins with another clock.
  await saveTime(tables, leases, logger)
  return leases
}

/** Writes the time now and then, until `signal` aborts. */
export async function keepTime(
  { tables, leases, clock, logger }: { tables: Tables; leases: Leases; clock: Clock; logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(saveEveryMs, { signal })
    await saveTime(tables, leases, logger)
  }
}

/** Not synced, and no failure of it is anybody's: the next run has nothing older, only later. */
export async function saveTime(tables: Tables, leases: Leases, logger: Logger): Promise<void> {
  try {
    await tables.facts.put(timeKey, String(leases.now()))
  } catch (error) {
    logger.warn({ err: error }, 'the time of the leases could not be written')
  }
}
