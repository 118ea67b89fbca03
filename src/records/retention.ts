/**
 * How long deletions are remembered.
 *
 * A tombstone is current for 30 days: reconciled and given to new nodes like any record. Then each node *buries* it: it
 * leaves the current records, and is kept aside for 400 days. Nothing that is older than a buried tombstone becomes
 * current again: a peer that offers it, back from a long absence, makes the tombstone current for another day, so that it
 * spreads and deletes what the peer brought. An expired tombstone from a peer counts only where it deletes something, so
 * that nodes which bury at different moments do not hand them back and forth.
 *
 * So no absence shorter than 400 days brings a tag back, as long as one node that saw the deletion is still there. If none
 * is, the record comes back, everywhere alike. Live records never expire: a new node has to get old ones.
 *
 * A removed account stays a tombstone for ever: they are few, and whoever kept its record could bring it back otherwise.
 */
import type { Clock } from '../base/base.ts'
import { beats } from './order.ts'
import type { SignedRecord } from './record.ts'
import type { Rules } from './rules.ts'

const dayMs = 24 * 60 * 60_000
export const tombstoneMs = 30 * dayMs
export const buriedMs = 400 * dayMs
const revivedMs = dayMs
/** Beyond this they are buried early, and revived again when they are needed. */
const maxRevived = 100_000

export class Retention {
  readonly #clock: Clock
  readonly #steady: Clock
  readonly #revived = new Map<string, number>()

  /** `clock` is compared with the times of records, `steady` measures. */
  constructor(clock: Clock, steady: Clock) {
    this.#clock = clock
    this.#steady = steady
  }

  isExpired({ body }: SignedRecord): boolean {
    return body.value === null && body.kind !== 'account' && body.time[0] < this.#clock.now() - tombstoneMs
  }

  /** True when the buried tombstone still stands against `record`. */
  outlives(buried: SignedRecord, record: SignedRecord, rules: Rules): boolean {
    return rules.standingRefusalOf(buried) === undefined && beats(buried, record, rules)
  }

  /** Keeps the expired tombstone of `key` current for a day from now. */
  revive(key: string): void {
    if (this.#revived.size >= maxRevived) this.#revived.clear()
    this.#revived.set(key, this.#steady.now())
  }

  /** True when the expired tombstone of `key` may be buried. */
  mayBury(key: string): boolean {
    const since = this.#revived.get(key)
    if (since !== undefined && this.#steady.now() - since < revivedMs) return false
    this.#revived.delete(key)
    return true
  }
}
