/**
 * What a ledger does by itself from time to time: bury tombstones, drop what the policy no longer permits, and put right what
 * stands from far ahead, because it was written or accepted while this node's clock was wrong. All others refuse that, and for
 * years nothing that is right would take its place here. Once members confirm the clock, what this node wrote it signs again
 * with the time of now, as it was acknowledged; what others wrote is theirs to sign again, and goes.
 */
import { type Clock, type Logger, logFailure } from '../base/base.ts'
import type { MembersTime } from './members-time.ts'
import { keyText, type SignedRecord } from './record.ts'
import { buriedMs, type Retention, tombstoneMs } from './retention.ts'
import { afterTime, buriedAt, type Database, policySeenAt, sortable } from './storage.ts'
import type { StoredRecords } from './stored.ts'
import { isAhead } from './time.ts'
import type { Writer } from './writer.ts'

/** The authority's copies of what a policy excludes have this long to arrive before the originals go. */
export const graceMs = 60 * 60_000

const batchLength = 256
/** Less is how clocks are corrected all the time. */
const clockStepMs = 60_000
/** A node that may seal by a new policy begins soon, and not with each of several that come at once. */
const policySettlesMs = 1000

interface SweepOptions {
  db: Database
  records: StoredRecords
  writer: Writer
  retention: Retention
  clock: Clock
  steady: Clock
  time: MembersTime | undefined
  logger: Logger
}

export class Sweep {
  readonly #options: SweepOptions
  #wake: () => void = () => undefined
  /** It was asked for, be it in the middle of a run that had passed over what it was asked for. */
  #isAsked = false
  /** How the clock stood when it was last looked for what is far ahead. */
  #lookedAtMs: number | undefined
  #done: { rules: unknown; excluded: boolean } | undefined

  constructor(options: SweepOptions) {
    this.#options = options
  }

  /** At intervals, and when it was asked for in between, until the signal aborts. */
  async runAgain(everyMs: number, { signal }: { signal: AbortSignal }): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#untilDue(everyMs, signal)
        await this.run({ signal })
      } catch (error) {
        if (!signal.aborted) logFailure(this.#options.logger, error, 'the ledger was not swept')
      }
    }
  }

  /** Brings the next run of `runAgain` forward. */
  runSoon(): void {
    this.#isAsked = true
    this.#wake()
  }

  /** A member has said what time it is. */
  clockHeard(): void {
    if (this.#maySeeFar()) this.runSoon()
  }

  async #untilDue(everyMs: number, signal: AbortSignal): Promise<void> {
    const { steady } = this.#options
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    if (!this.#isAsked) {
      try {
        await steady.sleep(everyMs, { signal: AbortSignal.any([signal, woken.signal]) })
      } catch (error) {
        if (!woken.signal.aborted) throw error
      }
    }
    if (this.#isAsked) await steady.sleep(policySettlesMs, { signal })
    this.#isAsked = false
  }

  async run({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    await this.#buryTombstones(signal)
    await this.#forgetBuried(signal)
    await this.#enforcePolicy(signal)
    await this.#mendFar(signal)
  }

  async #buryTombstones(signal: AbortSignal | undefined): Promise<void> {
    const { clock, db, retention, writer } = this.#options
    const keys: string[] = []
    for await (const entry of db.keys({
      gte: 'x',
      lt: `x${sortable(Math.max(0, clock.now() - tombstoneMs))}`,
    })) {
      const { key } = afterTime(entry)
      if (retention.mayBury(key)) keys.push(key)
    }
    await this.#inBatches(keys, signal, (batch) =>
      writer.run(
        async ({ draft }) => {
          await draft.prefetch(batch)
          for (const key of batch) {
            const record = draft.find(key)
            if (record !== undefined && retention.isExpired(record)) draft.bury(record)
          }
        },
        { sync: false },
      ),
    )
  }

  async #forgetBuried(signal: AbortSignal | undefined): Promise<void> {
    const { clock, db, writer } = this.#options
    const entries = await db.keys({ gte: 'y', lt: `y${sortable(Math.max(0, clock.now() - buriedMs))}` }).all()
    await this.#inBatches(entries, signal, (batch) =>
      writer.run(
        async ({ draft }) => {
          for (const entry of batch) {
            draft.write(entry, undefined)
            draft.write(buriedAt(afterTime(entry).key), undefined)
          }
        },
        { sync: false },
      ),
    )
  }

  /** Once for each policy: drops what it excludes when its grace has passed; a node that may seal seals what it protects. */
  async #enforcePolicy(signal: AbortSignal | undefined): Promise<void> {
    const { steady, db, records, writer } = this.#options
    const { rules } = writer
    const seen = db.getSync(policySeenAt)
    if (seen === undefined) return
    const sinceMs = steady.now() - Number(seen)
    // Of an earlier run, which had begun with a clock that was ahead: its grace would not end for as long as that was. Or rotten.
    if (!(sinceMs >= 0)) {
      const now = String(steady.now())
      await writer.run(async ({ draft }) => draft.write(policySeenAt, now), { sync: false })
    }
    const excluded = sinceMs >= graceMs
    if (this.#done?.rules === rules && this.#done.excluded === excluded) return
    const concerns = (record: SignedRecord): boolean =>
      (excluded && rules.refusalOf(record) !== undefined) || writer.maySeal(record, rules)
    const keys: string[] = []
    for await (const record of records.scan(signal)) if (concerns(record)) keys.push(keyText(record.key))
    await this.#inBatches(keys, signal, (batch) =>
      writer.run(
        async (write) => {
          await write.draft.prefetch(batch)
          for (const key of batch) {
            const record = write.draft.find(key)
            if (record === undefined || writer.rules !== rules || !concerns(record)) continue
            const instead = writer.sealOf(record, rules)
            const original = record.sealed?.original
            if (instead !== undefined) write.accept(instead, { own: true })
            // Whose seal no longer counts, what it sealed may still.
            else if (original !== undefined && rules.refusalOf(original) === undefined)
              write.accept(original, { own: false })
            else write.remove(record)
          }
        },
        { sync: false },
      ),
    )
    if (writer.rules === rules) this.#done = { rules, excluded }
  }

  /** Once for each time that the clock was set: nothing comes to stand far ahead otherwise. */
  #maySeeFar(): boolean {
    const { time } = this.#options
    if (time === undefined || !time.isConfirmed()) return false
    return this.#lookedAtMs === undefined || Math.abs(time.stepMs - this.#lookedAtMs) > clockStepMs
  }

  async #mendFar(signal: AbortSignal | undefined): Promise<void> {
    const { clock, records, logger, time, writer } = this.#options
    if (time === undefined || !this.#maySeeFar()) return
    const { stepMs } = time
    const concerns = ({ body }: SignedRecord): boolean => isAhead(body.time, clock.now())
    const keys: string[] = []
    for await (const record of records.scan(signal)) if (concerns(record)) keys.push(keyText(record.key))
    if (keys.length > 0)
      logger.warn({ records: keys.length }, 'records from a time when the clock was wrong are put right')
    await this.#inBatches(keys, signal, (batch) =>
      writer.run(
        async (write) => {
          await write.draft.prefetch(batch)
          for (const key of batch) {
            const record = write.draft.find(key)
            if (record === undefined || !concerns(record) || !time.isConfirmed()) continue
            const anew = writer.signAnew(record)
            if (anew !== undefined) write.accept(anew, { own: true })
            // Without a policy everybody might write.
            else if (record.key.kind !== 'policy') write.remove(record)
          }
        },
        { sync: true },
      ),
    )
    this.#lookedAtMs = stepMs
  }

  async #inBatches<T>(
    items: T[],
    signal: AbortSignal | undefined,
    work: (batch: T[]) => Promise<void>,
  ): Promise<void> {
    for (let from = 0; from < items.length; from += batchLength) {
      signal?.throwIfAborted()
      await work(items.slice(from, from + batchLength))
    }
  }
}
