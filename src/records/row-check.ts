/** One pass over a ledger's rows: each is held against the record from which it follows, and put right or dropped. */
import type { Verifier } from '../wire/wire.ts'
import { rowsOf, sourceOf, withoutSum } from './derived.ts'
import type { Draft } from './draft.ts'
import { setAside } from './set-aside.ts'
import {
  afterTime,
  buriedAt,
  buriedTimeAt,
  countAt,
  type Database,
  end,
  manifestAt,
  positionAt,
  positionOf,
  recordAt,
} from './storage.ts'
import {
  isSound,
  packPosition,
  proveRecord,
  readRecord,
  type StoredRecords,
  unpackPosition,
} from './stored.ts'
import type { Writer } from './writer.ts'

export interface AuditReport {
  /** Records that were looked at. */
  records: number
  /** Records that the disk changed: they are gone, and members have to bring them. */
  dropped: number
  /** Records that this code cannot read: they were set aside. */
  unreadable: number
  /** Other rows that were missing or wrong. */
  rows: number
}

export interface RowCheckOptions {
  db: Database
  records: StoredRecords
  writer: Writer
  verifier: Verifier
}

interface Pass {
  signal: AbortSignal | undefined
  /** Called after each batch. */
  pace(): Promise<void>
}

const view = { valueEncoding: 'view' } as const
const atOnce = 256

export class RowCheck {
  readonly report: AuditReport = { records: 0, dropped: 0, unreadable: 0, rows: 0 }
  /** Keys and rows that changed since a record was set aside, which is no disk's fault. */
  readonly #aside = new Set<string>()
  readonly #options: RowCheckOptions
  readonly #pass: Pass

  constructor(options: RowCheckOptions, pass: Pass) {
    this.#options = options
    this.#pass = pass
  }

  async run(): Promise<void> {
    await this.#checkRecords()
    await this.#checkRows()
    await this.#checkCounts()
  }

  /** Each record, and whether what follows from it is there. */
  async #checkRecords(): Promise<void> {
    const { db } = this.#options
    const range = { gte: recordAt(''), lt: recordAt(end) }
    for await (const batch of this.#batches(range)) {
      const wrong: string[] = []
      const keys = batch.map(([entry]) => entry.slice(1))
      const positions = await db.getMany<string, Uint8Array>(
        keys.map((key) => positionAt(positionOf(key))),
        view,
      )
      const expected = new Map<string, { key: string; value: string }>()
      for (const [index, [, bytes]] of batch.entries()) {
        const key = keys[index] ?? ''
        const record = isSound(key, bytes, positions[index]) ? readRecord(key, bytes) : undefined
        if (record === undefined) wrong.push(key)
        else for (const [entry, value] of rowsOf(record)) expected.set(entry, { key, value })
      }
      const rows = await db.getMany([...expected.keys()])
      for (const [index, { key, value }] of [...expected.values()].entries())
        if (rows[index] !== value) wrong.push(key)
      this.report.records += batch.length
      if (wrong.length > 0) await this.#mend([...new Set(wrong)])
    }
  }

  async #mend(keys: string[]): Promise<void> {
    const { db, writer, verifier } = this.#options
    await writer.run(
      async ({ draft }) => {
        for (const key of keys) {
          const bytes: Uint8Array | undefined = db.getSync<string, Uint8Array>(recordAt(key), view)
          if (bytes === undefined) continue
          const at = positionAt(positionOf(key))
          const position: Uint8Array | undefined = db.getSync<string, Uint8Array>(at, view)
          const isRight = isSound(key, bytes, position)
          const record = isRight ? readRecord(key, bytes) : await proveRecord(key, bytes, verifier)
          if (record === undefined && isRight) {
            this.#setAside(draft, key, bytes)
            continue
          }
          if (record === undefined) {
            this.report.dropped++
            draft.write(recordAt(key), undefined)
            draft.write(at, undefined)
            continue
          }
          if (!isRight) this.#replace(draft, at, packPosition(record.envelope.hash, key))
          for (const [entry, value] of rowsOf(record)) {
            const row: string | undefined = db.getSync(entry)
            if (row === withoutSum(value)) draft.write(entry, value)
            else if (row !== value) this.#replace(draft, entry, value)
          }
        }
      },
      { sync: true },
    )
  }

  #setAside(draft: Draft, key: string, bytes: Uint8Array): void {
    this.report.unreadable++
    setAside(draft, key, bytes)
    this.#aside.add(key)
    if (key.startsWith('m')) this.#aside.add(countAt(key.slice(1, key.indexOf('@'))))
  }

  /** `cause` is what the row follows from. */
  #replace(draft: Draft, entry: string, value: Uint8Array | string | undefined, cause = entry): void {
    if (!this.#aside.has(cause)) this.report.rows++
    draft.write(entry, value)
  }

  /** Each row that is there, and whether it follows from a record. */
  async #checkRows(): Promise<void> {
    for (const letter of ['D', 'M', 'S', 'T', 'g', 'h', 'x', 'y']) {
      for await (const batch of this.#batches({ gte: letter, lt: letter + end })) {
        const wrong: string[] = []
        for (const [entry, value] of batch) if (!(await this.#follows(entry, value))) wrong.push(entry)
        if (wrong.length > 0) await this.#drop(wrong)
      }
    }
  }

  async #drop(entries: string[]): Promise<void> {
    const { db, writer } = this.#options
    await writer.run(
      async ({ draft }) => {
        for (const entry of entries) {
          const value: Uint8Array | undefined = db.getSync<string, Uint8Array>(entry, view)
          // Something else may have been written since.
          if (value === undefined || (await this.#follows(entry, value))) continue
          this.#replace(draft, entry, undefined, sourceOf(entry))
        }
      },
      { sync: true },
    )
  }

  async #follows(entry: string, value: Uint8Array): Promise<boolean> {
    const { db, verifier } = this.#options
    if (entry.startsWith('g')) {
      const tombstone = await proveRecord(entry.slice(1), value, verifier)
      return tombstone !== undefined && tombstone.body.value === null
    }
    if (entry.startsWith('y')) {
      const { key } = afterTime(entry)
      const buried: Uint8Array | undefined = db.getSync<string, Uint8Array>(buriedAt(key), view)
      const tombstone = buried && (await proveRecord(key, buried, verifier))
      return tombstone !== undefined && entry === buriedTimeAt(tombstone.body.time[0], key)
    }
    const key = entry.startsWith('h') ? unpackPosition(value)?.key : sourceOf(entry)
    const record = key === undefined ? undefined : this.#options.records.read(key)
    if (key === undefined || record === undefined) return false
    return entry.startsWith('h') ? entry === positionAt(positionOf(key)) : rowsOf(record).has(entry)
  }

  /** How many manifests each repository has. */
  async #checkCounts(): Promise<void> {
    const { db } = this.#options
    const counts = new Map<string, number>()
    for await (const batch of this.#batches({ gte: 'M', lt: `M${end}` })) {
      for (const [entry] of batch) {
        const repository = entry.slice(1, entry.indexOf('@'))
        counts.set(repository, (counts.get(repository) ?? 0) + 1)
      }
    }
    const wrong = new Set(counts.keys())
    for await (const [entry, count] of db.iterator({ gte: countAt(''), lt: countAt(end) })) {
      const repository = entry.slice(1)
      if (count === String(counts.get(repository) ?? 0)) wrong.delete(repository)
      else wrong.add(repository)
    }
    for (const repository of wrong) await this.#countAnew(repository)
  }

  async #countAnew(repository: string): Promise<void> {
    const { db, writer } = this.#options
    await writer.run(
      async ({ draft }) => {
        const range = { gte: manifestAt(repository, ''), lt: manifestAt(repository, end) }
        const { length } = await db.keys(range).all()
        const count = length === 0 ? undefined : String(length)
        if (db.getSync(countAt(repository)) !== count) this.#replace(draft, countAt(repository), count)
      },
      { sync: true },
    )
  }

  async *#batches(range: { gte: string; lt: string }): AsyncGenerator<[string, Uint8Array][]> {
    await using entries = this.#options.db.iterator<string, Uint8Array>({ ...range, ...view })
    for (;;) {
      const batch = await entries.nextv(atOnce)
      if (batch.length === 0) return
      this.#pass.signal?.throwIfAborted()
      yield batch
      await this.#pass.pace()
    }
  }
}
