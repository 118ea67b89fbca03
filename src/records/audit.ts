/**
 * Holds the ledger's rows against each other and puts right what a disk changed. A record is right where it hashes to what its
 * position says, or else by its signature; all other rows follow from records. A record that is neither is dropped, so that
 * reconciliation brings it from members.
 *
 * It runs from time to time, and soon after a read came upon something wrong: rot seldom comes alone.
 */
import { type Clock, type Logger, logFailure, type Metrics } from '../base/base.ts'
import type { Positions } from './positions.ts'
import { type AuditReport, RowCheck, type RowCheckOptions } from './row-check.ts'
import type { SetAside } from './set-aside.ts'

interface AuditOptions extends RowCheckOptions {
  positions: Positions
  setAside: SetAside
  /** Until the records were counted for the first time. */
  counted(): Promise<void>
  steady: Clock
  logger: Logger
  metrics: Metrics
}

/** A quarter of a processor at most. */
const restFactor = 3
/** After a read came upon something: others may, too. */
const settlesMs = 1_000
/** As it would not help to look all the time at a disk that is dying. */
const leastPauseMs = 60_000

export class Audit {
  readonly #options: AuditOptions
  #wake: () => void = () => undefined
  #isSuspected = false
  #last: AuditReport | undefined

  constructor(options: AuditOptions) {
    this.#options = options
  }

  /** What the last run that found something found. */
  get damage(): AuditReport | undefined {
    return this.#last
  }

  /** Brings the next run of `runAgain` forward. */
  suspect(): void {
    this.#isSuspected = true
    this.#wake()
  }

  /** At intervals, and after `suspect`, until the signal aborts. */
  async runAgain(everyMs: number, { signal }: { signal: AbortSignal }): Promise<void> {
    const { steady, logger } = this.#options
    const pace = async (sinceMs: number): Promise<void> => {
      await steady.sleep(Math.max(1, restFactor * (steady.now() - sinceMs)), { signal })
    }
    while (!signal.aborted) {
      try {
        await this.#untilDue(everyMs, signal)
        let sinceMs = steady.now()
        const rest = async (): Promise<void> => {
          await pace(sinceMs)
          sinceMs = steady.now()
        }
        // What is known to be wrong is not waited for.
        await this.#run(signal, this.#isSuspected ? async () => undefined : rest)
        await steady.sleep(leastPauseMs, { signal })
      } catch (error) {
        if (signal.aborted) return
        this.#isSuspected = true
        logFailure(logger, error, 'the ledger could not be looked through for damage')
        await steady.sleep(leastPauseMs, { signal }).catch(() => undefined)
      }
    }
  }

  async run({ signal }: { signal?: AbortSignal } = {}): Promise<AuditReport> {
    return await this.#run(signal, async () => undefined)
  }

  async #untilDue(everyMs: number, signal: AbortSignal): Promise<void> {
    const { steady } = this.#options
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    if (!this.#isSuspected) {
      try {
        await steady.sleep(everyMs, { signal: AbortSignal.any([signal, woken.signal]) })
      } catch (error) {
        if (!woken.signal.aborted) throw error
      }
    }
    if (this.#isSuspected) await steady.sleep(settlesMs, { signal })
  }

  async #run(signal: AbortSignal | undefined, pace: () => Promise<void>): Promise<AuditReport> {
    const { counted, writer, positions, setAside, logger, metrics } = this.#options
    await counted()
    const wasSuspected = this.#isSuspected
    this.#isSuspected = false
    const check = new RowCheck(this.#options, { signal, pace })
    await check.run()
    await setAside.forget()
    const { report } = check
    const found = report.dropped + report.rows + report.unreadable
    if (!wasSuspected && found === 0) return report
    // Whatever was counted of what is wrong went into the sums.
    await writer.run(() => positions.countAgain(signal), { sync: false })
    this.#isSuspected = false
    if (report.unreadable > 0) tellUnreadable(logger, report.unreadable)
    if (report.dropped + report.rows === 0) return report
    this.#last = report
    metrics.count('shoal_records_rotten_total', { kind: 'record' }, report.dropped)
    metrics.count('shoal_records_rotten_total', { kind: 'row' }, report.rows)
    logger.error(
      { ...report },
      'the disk gave other bytes for the ledger than were stored: rows were derived anew, and records that are lost come back from members',
    )
    return report
  }
}

export function tellUnreadable(logger: Logger, records: number): void {
  logger.error(
    { records },
    'records stand in the ledger that this version cannot read: they count as missing, and are kept for one that reads them',
  )
}
