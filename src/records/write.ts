/** One turn of the writer: the records that it accepts and removes, stored together and told to the listeners. */
import type { Draft } from './draft.ts'
import { keyText, type RecordKey, type SignedRecord } from './record.ts'
import type { ChangedKey } from './records.ts'

export interface Stored {
  changes: ChangedKey[]
  /** Signed here. */
  own: SignedRecord[]
  /** From a peer. */
  received: SignedRecord[]
}

interface WriteOptions {
  newDraft(): Draft
  /** What to store in the record's place. */
  settle(record: SignedRecord): SignedRecord | undefined
  stored(done: Stored): void
}

export class Write {
  readonly #options: WriteOptions
  readonly #accepted = new Map<string, { record: SignedRecord; own: boolean }>()
  readonly #removed = new Map<string, RecordKey>()
  #draft: Draft

  constructor(options: WriteOptions) {
    this.#options = options
    this.#draft = options.newDraft()
  }

  get draft(): Draft {
    return this.#draft
  }

  /** How many records it has gathered since its last flush. */
  get size(): number {
    return this.#accepted.size + this.#removed.size
  }

  /** Makes the record current; `own` when it was signed here. */
  accept(record: SignedRecord, { own }: { own: boolean }): void {
    const instead = this.#options.settle(record)
    const key = keyText(record.key)
    this.#draft.put(instead ?? record)
    this.#removed.delete(key)
    this.#accepted.set(key, { record: instead ?? record, own: own || instead !== undefined })
  }

  /** Forgets a record. */
  remove(record: SignedRecord): void {
    this.#draft.drop(record)
    // What a tombstone stood for is gone already, so its going changes nothing that is seen.
    if (record.body.value !== null) this.#removed.set(keyText(record.key), record.key)
  }

  /** Stores what was gathered so far and begins anew: for work that is too large for one batch. */
  async flush(options: { sync: boolean }): Promise<void> {
    const accepted = [...this.#accepted.values()]
    await this.#draft.commit(options)
    const changes = accepted.map(({ record }) => changeOf(record.key, record.body.value === null))
    for (const key of this.#removed.values()) changes.push(changeOf(key, true))
    const own = accepted.filter((entry) => entry.own).map(({ record }) => record)
    const received = accepted.filter((entry) => !entry.own).map(({ record }) => record)
    this.#accepted.clear()
    this.#removed.clear()
    this.#draft = this.#options.newDraft()
    this.#options.stored({ changes, own, received })
  }
}

function changeOf(key: RecordKey, deleted: boolean): ChangedKey {
  return key.kind === 'policy' ? key : { ...key, deleted }
}
