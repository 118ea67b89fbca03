/** A ledger's current records in the order in which reconciliation walks them: by the hash of their key. */
import { breather } from '../base/base.ts'
import { Fingerprints } from './fingerprints.ts'
import type { Intake } from './intake.ts'
import { type Database, end, positionAt } from './storage.ts'
import { type StoredRecords, unpackPosition } from './stored.ts'

/** One current record. */
export interface PositionedRecord {
  /** 32 hex digits. */
  position: string
  /** SHA-256 of the signed record. */
  hash: Uint8Array
  key: string
}

/** Positions of 32 hex digits; the first is excluded, the last included. */
export interface PositionRange {
  after?: string
  upTo?: string
}

const batchLength = 1000
const isPosition = (text: string): boolean => /^[0-9a-f]{32}$/.test(text)
const view = { valueEncoding: 'view' } as const

export class Positions {
  /** Kept as records change; complete once `count` has ended. */
  readonly fingerprints = new Fingerprints()
  readonly #db: Database
  readonly #records: StoredRecords
  readonly #intake: Intake

  constructor(db: Database, records: StoredRecords, intake: Intake) {
    this.#db = db
    this.#records = records
    this.#intake = intake
  }

  /** The hash of the record that waits at a position until this node may take it. */
  waitingAt(position: string): Uint8Array | undefined {
    return this.#intake.delayedAt(position)
  }

  /** As `under`, with what waits in its place, so that nobody sends it again before it can be taken. */
  async *listed(prefix: string): AsyncGenerator<Pick<PositionedRecord, 'position' | 'hash'>> {
    const waiting = this.#intake.delayedUnder(prefix)
    for await (const { position, hash } of this.under(prefix)) {
      for (let next = waiting[0]; next !== undefined && next.position < position; next = waiting[0]) {
        waiting.shift()
        yield next
      }
      const instead = waiting[0]?.position === position ? waiting.shift() : undefined
      yield instead ?? { position, hash }
    }
    yield* waiting
  }

  /** The records whose position begins with `prefix`, as they stand now. */
  async *under(prefix: string, { after, upTo }: PositionRange = {}): AsyncGenerator<PositionedRecord> {
    const range = {
      ...(after === undefined ? { gte: positionAt(prefix) } : { gt: positionAt(after) }),
      ...(upTo === undefined ? { lt: positionAt(prefix + end) } : { lte: positionAt(upTo) }),
    }
    await using entries = this.#db.iterator<string, Uint8Array>({ ...range, ...view })
    for (;;) {
      const batch = await entries.nextv(batchLength)
      if (batch.length === 0) return
      for (const [entry, value] of batch) {
        const position = entry.slice(1)
        const found = unpackPosition(value)
        // Whatever else a disk may give is put right by the audit.
        if (found !== undefined && isPosition(position)) yield { position, ...found }
      }
    }
  }

  /** The keys at these positions, without those where nothing stands. */
  async getKeys(positions: string[]): Promise<string[]> {
    const found = await this.#db.getMany<string, Uint8Array>(positions.map(positionAt), view)
    return found.flatMap((value) => (value && unpackPosition(value)?.key) ?? [])
  }

  /** The records of these keys as signed, without those that are none. */
  async getSigned(keys: string[]): Promise<Uint8Array[]> {
    const found = await this.#records.findMany(keys)
    // One that rotted or cannot be read is not given away: the peer would have to take this node for a liar.
    return found.flatMap((bytes, index) =>
      bytes === undefined ? [] : (this.#records.decode(keys[index] ?? '', bytes)?.envelope.bytes ?? []),
    )
  }

  /** Sums commute, so what changes meanwhile is right already: the records are read as they stood when it was called. */
  async count(signal: AbortSignal): Promise<void> {
    this.fingerprints.add(await this.#sum(signal))
  }

  /** Forgets what was counted, and counts again; nothing may change meanwhile. */
  async countAgain(signal?: AbortSignal): Promise<void> {
    const counted = await this.#sum(signal)
    this.fingerprints.clear()
    this.fingerprints.add(counted)
  }

  async #sum(signal?: AbortSignal): Promise<Fingerprints> {
    const breathe = breather()
    const counted = new Fingerprints()
    for await (const { position, hash } of this.under('')) {
      signal?.throwIfAborted()
      counted.change(position, undefined, hash)
      await breathe()
    }
    return counted
  }

  /** After many changes there is much to hash, which the first who asks for the root would do in one go. */
  async warm(): Promise<Fingerprints> {
    this.#intake.release()
    const breathe = breather()
    for (let high = 0; high < 256; high++) {
      this.fingerprints.of(high.toString(16).padStart(2, '0'))
      await breathe()
    }
    return this.fingerprints
  }
}
