/** When each of many digests is due, in some 45 bytes for each: a node may hold a million blobs, and a Map takes six times that. */
import { randomInt } from 'node:crypto'
import { type Digest, parseDigest } from '../../oci/oci.ts'

const hashBytes = 32
const prefix = 'sha256:'
const nowhere = -1

export class DueTimes {
  /** Dense: the last one takes the place of one that goes. */
  #hashes = new Uint8Array(0)
  /** In seconds. */
  #times = new Uint32Array(0)
  /** The place of each, found by its hash: open addressing, `place + 1`, 0 where none is. */
  #slots = new Uint32Array(16)
  #count = 0
  readonly #secrets: readonly [number, number]
  /** Digests of other algorithms, which few have. */
  readonly #others = new Map<Digest, number>()

  constructor(secrets: readonly [number, number] = [randomInt(2 ** 32), randomInt(2 ** 32)]) {
    this.#secrets = secrets
  }

  get size(): number {
    return this.#count + this.#others.size
  }

  /** That it takes, but for the few of other algorithms. */
  get bytes(): number {
    return this.#hashes.byteLength + this.#times.byteLength + this.#slots.byteLength
  }

  has(digest: Digest): boolean {
    const hash = hashOf(digest)
    return hash === undefined ? this.#others.has(digest) : this.#slotOf(hash).place !== nowhere
  }

  set(digest: Digest, atMs: number): void {
    const seconds = Math.max(0, Math.ceil(atMs / 1000))
    const hash = hashOf(digest)
    if (hash === undefined) {
      this.#others.set(digest, seconds)
      return
    }
    let { slot, place } = this.#slotOf(hash)
    if (place === nowhere) {
      if (this.#makeRoom()) slot = this.#slotOf(hash).slot
      place = this.#count++
      this.#hashes.set(hash, place * hashBytes)
      this.#slots[slot] = place + 1
    }
    this.#times[place] = seconds
  }

  /** False when it was not there. */
  delete(digest: Digest): boolean {
    const hash = hashOf(digest)
    if (hash === undefined) return this.#others.delete(digest)
    const { slot, place } = this.#slotOf(hash)
    if (place === nowhere) return false
    const last = --this.#count
    if (place !== last) {
      const moved = this.#hashAt(last)
      this.#slots[this.#slotOf(moved).slot] = place + 1
      this.#hashes.copyWithin(place * hashBytes, last * hashBytes, (last + 1) * hashBytes)
      this.#times[place] = this.#times[last] ?? 0
    }
    this.#empty(slot)
    return true
  }

  /** Those that are due at `nowMs`; what is set or deleted meanwhile may be left out. */
  *overdue(nowMs: number): Generator<Digest> {
    const seconds = Math.floor(nowMs / 1000)
    // From the end on: what takes the place of one that goes was given already.
    for (let place = this.#count - 1; place >= 0; place--) {
      if (place >= this.#count || (this.#times[place] ?? 0) > seconds) continue
      yield parseDigest(`${prefix}${Buffer.from(this.#hashAt(place)).toString('hex')}`)
    }
    for (const [digest, at] of [...this.#others]) if (at <= seconds) yield digest
  }

  /** Where a hash is, or would be. */
  #slotOf(hash: Uint8Array): { slot: number; place: number } {
    for (let slot = this.#homeOf(hash); ; slot = (slot + 1) % this.#slots.length) {
      const place = (this.#slots[slot] ?? 0) - 1
      if (place === nowhere || isSame(this.#hashAt(place), hash)) return { slot, place }
    }
  }

  /** Mixed with what nobody else knows: who pushes blobs can choose their hashes' first bits. */
  #homeOf(hash: Uint8Array): number {
    const view = new DataView(hash.buffer, hash.byteOffset)
    const [one, other] = this.#secrets
    const mixed =
      Math.imul(view.getUint32(0) ^ one, 0x9e3779b1) + Math.imul(view.getUint32(4) ^ other, 0x85ebca6b)
    return ((mixed ^ (mixed >>> 15)) >>> 0) % this.#slots.length
  }

  #hashAt(place: number): Uint8Array {
    return this.#hashes.subarray(place * hashBytes, (place + 1) * hashBytes)
  }

  /** Whether places in `#slots` have changed. */
  #makeRoom(): boolean {
    if (this.#count === this.#times.length) {
      const places = Math.max(16, Math.ceil(this.#count * 1.25))
      this.#hashes = grown(this.#hashes, new Uint8Array(places * hashBytes))
      this.#times = grown(this.#times, new Uint32Array(places))
    }
    if ((this.#count + 1) * 4 <= this.#slots.length * 3) return false
    this.#slots = new Uint32Array(Math.ceil(this.#slots.length * 1.5))
    for (let place = 0; place < this.#count; place++) {
      this.#slots[this.#slotOf(this.#hashAt(place)).slot] = place + 1
    }
    return true
  }

  /** What stands behind it and was pushed there by it moves up. */
  #empty(slot: number): void {
    const length = this.#slots.length
    let hole = slot
    this.#slots[hole] = 0
    for (let next = (hole + 1) % length; this.#slots[next] !== 0; next = (next + 1) % length) {
      const home = this.#homeOf(this.#hashAt((this.#slots[next] ?? 0) - 1))
      const stays = hole < next ? home > hole && home <= next : home > hole || home <= next
      if (stays) continue
      this.#slots[hole] = this.#slots[next] ?? 0
      this.#slots[next] = 0
      hole = next
    }
  }
}

function hashOf(digest: Digest): Uint8Array | undefined {
  return digest.startsWith(prefix) ? Buffer.from(digest.slice(prefix.length), 'hex') : undefined
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}

function grown<T extends Uint8Array | Uint32Array>(from: T, to: T): T {
  to.set(from)
  return to
}
