/** One write in the making: what it reads it sees through what it has written, and all of it is stored or none. */
import { rowsOf } from './derived.ts'
import type { Fingerprints } from './fingerprints.ts'
import { keyText, type SignedRecord } from './record.ts'
import {
  buriedAt,
  buriedTimeAt,
  countAt,
  type Database,
  positionAt,
  positionOf,
  recordAt,
} from './storage.ts'
import { packPosition, type StoredRecords } from './stored.ts'

type Value = Uint8Array | string

const view = { valueEncoding: 'view' } as const

export class Draft {
  readonly #db: Database
  readonly #records: StoredRecords
  readonly #fingerprints: Fingerprints
  readonly #read = new Map<string, Uint8Array | undefined>()
  readonly #decoded = new Map<Uint8Array, SignedRecord>()
  readonly #counts = new Map<string, number>()
  readonly #writes = new Map<string, Value | undefined>()
  readonly #sums: { position: string; before: Uint8Array | undefined; after: Uint8Array | undefined }[] = []

  constructor(db: Database, records: StoredRecords, fingerprints: Fingerprints) {
    this.#db = db
    this.#records = records
    this.#fingerprints = fingerprints
  }

  get size(): number {
    return this.#writes.size
  }

  /** Reads what is known of many keys at once, so that `find` does not go to the disk for each. */
  async prefetch(keys: string[]): Promise<void> {
    const unread = keys.filter((key) => !this.#read.has(recordAt(key)))
    const buried = await this.#db.getMany<string, Uint8Array>(unread.map(buriedAt), view)
    const current = await this.#records.findMany(unread)
    for (const [index, key] of unread.entries()) {
      this.#read.set(recordAt(key), current[index])
      this.#read.set(buriedAt(key), buried[index])
    }
  }

  /** Goes on from what `other` has read. Right only when nothing was stored since. */
  reuse(other: Draft): void {
    for (const [entry, bytes] of other.#read) this.#read.set(entry, bytes)
    for (const [bytes, record] of other.#decoded) this.#decoded.set(bytes, record)
  }

  /** The current record of `key`, a tombstone included. */
  find(key: string): SignedRecord | undefined {
    return this.#decode(key, this.findBytes(key))
  }

  findBytes(key: string): Uint8Array | undefined {
    return this.#get(recordAt(key), () => this.#records.find(key))
  }

  /**
   * The tombstone of `key` that was buried: retired from the current records, but not forgotten. Nothing vouches for it but
   * its signature, which is looked at where it would count.
   */
  findBuried(key: string): SignedRecord | undefined {
    const entry = buriedAt(key)
    return this.#decode(
      key,
      this.#get(entry, () => this.#db.getSync<string, Uint8Array>(entry, view)),
    )
  }

  #get(entry: string, read: () => Uint8Array | undefined): Uint8Array | undefined {
    const written = this.#writes.get(entry)
    if (this.#writes.has(entry)) return typeof written === 'string' ? undefined : written
    if (this.#read.has(entry)) return this.#read.get(entry)
    const bytes = read()
    this.#read.set(entry, bytes)
    return bytes
  }

  #decode(key: string, bytes: Uint8Array | undefined): SignedRecord | undefined {
    if (bytes === undefined) return undefined
    const record = this.#decoded.get(bytes) ?? this.#records.decode(key, bytes)
    if (record !== undefined) this.#decoded.set(bytes, record)
    return record
  }

  /** Makes `record` the current one of its key, with all that is derived from it. */
  put(record: SignedRecord): void {
    const key = keyText(record.key)
    const before = this.find(key)
    const buried = this.findBuried(key)
    if (buried !== undefined) this.#unbury(buried)
    if (before !== undefined) this.#unindex(before)
    this.#index(record)
    const position = positionOf(key)
    const { hash } = record.envelope
    this.write(recordAt(key), record.envelope.bytes)
    this.write(positionAt(position), packPosition(hash, key))
    this.#sums.push({ position, before: before?.envelope.hash, after: hash })
    this.#decoded.set(record.envelope.bytes, record)
  }

  /** Forgets the current record of a key. */
  drop(record: SignedRecord): void {
    const key = keyText(record.key)
    const position = positionOf(key)
    this.#unindex(record)
    this.write(recordAt(key), undefined)
    this.write(positionAt(position), undefined)
    this.#sums.push({ position, before: record.envelope.hash, after: undefined })
  }

  /** Retires a tombstone: no longer current, but remembered against what it deleted. */
  bury(tombstone: SignedRecord): void {
    const key = keyText(tombstone.key)
    this.drop(tombstone)
    this.write(buriedAt(key), tombstone.envelope.bytes)
    this.write(buriedTimeAt(tombstone.body.time[0], key), '')
  }

  #unbury(tombstone: SignedRecord): void {
    const key = keyText(tombstone.key)
    this.write(buriedAt(key), undefined)
    this.write(buriedTimeAt(tombstone.body.time[0], key), undefined)
  }

  write(entry: string, value: Value | undefined): void {
    this.#writes.set(entry, value)
  }

  /** With `sync` it survives power loss when this resolves. */
  async commit(options: { sync: boolean }): Promise<void> {
    const operations = [...this.#writes].map(([key, value]) =>
      value === undefined
        ? { type: 'del' as const, key }
        : typeof value === 'string'
          ? { type: 'put' as const, key, value, valueEncoding: 'utf8' as const }
          : { type: 'put' as const, key, value, valueEncoding: 'view' as const },
    )
    // The abstract type does not know LevelDB's sync, but hands every option on to the database.
    await this.#db.batch<string, Value>(operations, options as object)
    for (const { position, before, after } of this.#sums) this.#fingerprints.change(position, before, after)
  }

  #index(record: SignedRecord): void {
    for (const [entry, value] of rowsOf(record)) this.write(entry, value)
    this.#countManifest(record, 1)
  }

  #unindex(record: SignedRecord): void {
    for (const entry of rowsOf(record).keys()) this.write(entry, undefined)
    this.#countManifest(record, -1)
  }

  #countManifest({ key, body }: SignedRecord, by: number): void {
    if (key.kind !== 'manifest' || body.value === null) return
    const entry = countAt(key.repository)
    const count = (this.#counts.get(entry) ?? Number(this.#db.getSync<string, string>(entry, {}) ?? 0)) + by
    this.#counts.set(entry, count)
    this.write(entry, count > 0 ? String(count) : undefined)
  }
}
