/**
 * Records as the disk gives them: believed only where they hash to what their position says, which was written with them and
 * lies elsewhere. LevelDB reads without looking at its checksums, so that a disk's mistakes come through.
 */

import { hash } from 'node:crypto'
import { breather } from '../base/base.ts'
import { BadSignatureError, MalformedError, type Verifier } from '../wire/wire.ts'
import { verifyProof } from './membership.ts'
import { decodeRecord, keyText, type SignedRecord } from './record.ts'
import { type Database, end, positionAt, positionOf, recordAt } from './storage.ts'
import { verifyPolicy } from './succession.ts'

const view = { valueEncoding: 'view' } as const
const hashBytes = 32
const scannedAtOnce = 256

export class StoredRecords {
  readonly #db: Database
  /** Told of each key whose record, or what was derived from it, is not what was stored. */
  readonly #onDamaged: (key: string) => void

  constructor(db: Database, onDamaged: (key: string) => void) {
    this.#db = db
    this.#onDamaged = onDamaged
  }

  /** The current record of a key; one that rotted counts as missing. */
  find(key: string): Uint8Array | undefined {
    // A write may come in between the two reads, and not twice in a row.
    for (let attempt = 0; attempt < 2; attempt++) {
      // A synchronous read takes 5 µs where the thread pool's detour takes 45 and delays every other request.
      const bytes = this.#db.getSync<string, Uint8Array>(recordAt(key), view)
      if (bytes === undefined) return undefined
      const position = this.#db.getSync<string, Uint8Array>(positionAt(positionOf(key)), view)
      if (isSound(key, bytes, position)) return bytes
    }
    this.#onDamaged(key)
    return undefined
  }

  /** As `find`, read. One that this code cannot read counts as missing, too. */
  read(key: string): SignedRecord | undefined {
    const bytes = this.find(key)
    return bytes === undefined ? undefined : this.decode(key, bytes)
  }

  /** What `find` gave for `key`. */
  decode(key: string, bytes: Uint8Array): SignedRecord | undefined {
    const record = readRecord(key, bytes)
    if (record === undefined) this.#onDamaged(key)
    return record
  }

  /** In the order of the keys. */
  async findMany(keys: string[]): Promise<(Uint8Array | undefined)[]> {
    const found = await this.#db.getMany<string, Uint8Array>(keys.map(recordAt), view)
    const here = keys.filter((_, index) => found[index] !== undefined)
    const positions = await this.#db.getMany<string, Uint8Array>(
      here.map((key) => positionAt(positionOf(key))),
      view,
    )
    const positionByKey = new Map(here.map((key, index) => [key, positions[index]]))
    return keys.map((key, index) => {
      const bytes = found[index]
      return bytes === undefined || isSound(key, bytes, positionByKey.get(key)) ? bytes : this.find(key)
    })
  }

  /** Every current record, as it stood at the start. */
  async *scan(signal?: AbortSignal): AsyncGenerator<SignedRecord> {
    const breathe = breather()
    const range = { gte: recordAt(''), lt: recordAt(end) }
    await using entries = this.#db.keys(range)
    for (;;) {
      const batch = await entries.nextv(scannedAtOnce)
      if (batch.length === 0) return
      const keys = batch.map((entry) => entry.slice(1))
      for (const [index, bytes] of (await this.findMany(keys)).entries()) {
        signal?.throwIfAborted()
        const record = bytes && this.decode(keys[index] ?? '', bytes)
        if (record !== undefined) yield record
        await breathe()
      }
    }
  }

  /** What was derived from the record of `key` is not there, or not as it was written. */
  damaged(key: string): void {
    this.#onDamaged(key)
  }
}

export function packPosition(recordHash: Uint8Array, key: string): Uint8Array {
  return Buffer.concat([recordHash, Buffer.from(key)])
}

/** `undefined` for what is too short to be one. */
export function unpackPosition(value: Uint8Array): { hash: Uint8Array; key: string } | undefined {
  if (value.length <= hashBytes) return undefined
  const key = Buffer.from(value.buffer, value.byteOffset + hashBytes, value.length - hashBytes).toString()
  return { hash: value.subarray(0, hashBytes), key }
}

/** Whether the value at a key's position vouches for these bytes. */
export function isSound(key: string, bytes: Uint8Array, position: Uint8Array | undefined): boolean {
  if (position === undefined) return false
  return Buffer.compare(position, packPosition(hash('sha256', bytes, 'buffer'), key)) === 0
}

/** The record if it is one of `key` that this code can read; nothing else is judged. */
export function readRecord(key: string, bytes: Uint8Array): SignedRecord | undefined {
  try {
    const record = decodeRecord(bytes)
    return keyText(record.key) === key ? record : undefined
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

/** The record if it is one of `key` and its signatures say that these are its bytes; who may sign it was judged before. */
export async function proveRecord(
  key: string,
  bytes: Uint8Array,
  verifier: Verifier,
): Promise<SignedRecord | undefined> {
  const record = readRecord(key, bytes)
  if (record === undefined) return undefined
  try {
    await verifyRecord(record, verifier)
    return record
  } catch (error) {
    if (error instanceof MalformedError || error instanceof BadSignatureError) return undefined
    throw error
  }
}

/** Throws `BAD_SIGNATURE`. */
export async function verifyRecord(
  { body, envelope, sealed }: SignedRecord,
  verifier: Verifier,
): Promise<void> {
  await verifier.verify(envelope)
  if (body.kind === 'policy') await verifyPolicy(body.value)
  if (body.kind === 'admission') await verifyProof(body.value.proof)
  if (sealed !== undefined) await verifier.verify(sealed.original.envelope)
}
