/**
 * What a ledger holds, as a tree of fingerprints over the hex digits of each key's position: 65,536 leaves, fanout 16.
 *
 * A leaf is the sum of its records' hashes modulo 2^256, so that it is kept as records change, in any order, while the
 * ledger is still being read at start. An inner node is the SHA-256 of its children. Equal sums take records of one leaf
 * that solve a generalised birthday problem over 256 bits, about 2^31 signed records on 2^15 keys in one leaf, and hide
 * nothing but those records: so they need no key.
 */
import { hash } from 'node:crypto'

export const depth = 4
const leafBytes = 32
const leaves = 16 ** depth

export class Fingerprints {
  readonly #sums = new Uint32Array((leaves * leafBytes) / 4)
  readonly #counts = new Int32Array(leaves)
  /** By prefix; a change takes away those above its leaf. */
  readonly #nodes = new Map<string, Uint8Array>()
  #total = 0

  /** How many records there are. */
  get total(): number {
    return this.#total
  }

  change(position: string, before: Uint8Array | undefined, after: Uint8Array | undefined): void {
    const leaf = Number.parseInt(position.slice(0, depth), 16)
    if (before !== undefined) this.#add(leaf, before, -1)
    if (after !== undefined) this.#add(leaf, after, 1)
    for (let length = 0; length < depth; length++) this.#nodes.delete(position.slice(0, length))
  }

  /** Takes in all of another's. */
  add(other: Fingerprints): void {
    for (let leaf = 0; leaf < leaves; leaf++) {
      const count = other.#counts[leaf] ?? 0
      const sum = other.#leaves(leaf, 1)
      // Those of records that went and came may not be even, so a sum counts where there is no record, too.
      if (count === 0 && sum.every((byte) => byte === 0)) continue
      this.#add(leaf, sum, 1, count)
    }
    this.#nodes.clear()
  }

  clear(): void {
    this.#sums.fill(0)
    this.#counts.fill(0)
    this.#nodes.clear()
    this.#total = 0
  }

  /** How many records have a position that begins with `prefix`, which has at most `depth` digits. */
  count(prefix: string): number {
    if (prefix === '') return this.#total
    const width = 16 ** (depth - prefix.length)
    const first = Number.parseInt(prefix, 16) * width
    let sum = 0
    for (let leaf = first; leaf < first + width; leaf++) sum += this.#counts[leaf] ?? 0
    return sum
  }

  /** The fingerprint of the records whose position begins with `prefix`. */
  of(prefix: string): Uint8Array {
    if (prefix.length === depth) return this.#leaves(Number.parseInt(prefix, 16), 1).slice()
    const known = this.#nodes.get(prefix)
    if (known !== undefined) return known
    const node = hash('sha256', this.children(prefix), 'buffer')
    this.#nodes.set(prefix, node)
    return node
  }

  /** The fingerprints of the sixteen prefixes below `prefix`, one after the other. It may be a view. */
  children(prefix: string): Uint8Array {
    if (prefix.length === depth - 1) return this.#leaves(Number.parseInt(`${prefix}0`, 16), 16)
    return Buffer.concat(Array.from({ length: 16 }, (_, digit) => this.of(prefix + digit.toString(16))))
  }

  #leaves(first: number, count: number): Uint8Array {
    return new Uint8Array(this.#sums.buffer, first * leafBytes, count * leafBytes)
  }

  #add(leaf: number, addend: Uint8Array, sign: 1 | -1, records: number = sign): void {
    const view = new DataView(addend.buffer, addend.byteOffset, leafBytes)
    const start = (leaf * leafBytes) / 4
    let carry = 0
    for (let word = 0; word < leafBytes / 4; word++) {
      const sum = (this.#sums[start + word] ?? 0) + sign * view.getUint32(word * 4, true) + carry
      this.#sums[start + word] = sum >>> 0
      carry = Math.floor(sum / 2 ** 32)
    }
    this.#counts[leaf] = (this.#counts[leaf] ?? 0) + records
    this.#total += records
  }
}
