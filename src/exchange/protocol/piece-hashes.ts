/** The hashes of a blob's pieces as far as they are known here, and the signed lists that say so: they grow while the blob comes from its origin. */
import type { Digest } from '../../oci/oci.ts'
import type { Identity } from '../../wire/wire.ts'
import {
  firstPiece,
  type PieceList,
  pieceHashBytes,
  prefixOf,
  type SignedPieceList,
  signPieceList,
} from './piece-list.ts'
import type { Layout } from './piece-size.ts'

export class PieceHashes implements PieceList {
  readonly digest: Digest
  readonly layout: Layout
  readonly #hashes: Uint8Array
  #known = 0
  /** In order, each beginning where one before it ends, or earlier. */
  #lists: SignedPieceList[] = []
  #signed = 0

  constructor(digest: Digest, layout: Layout) {
    this.digest = digest
    this.layout = layout
    this.#hashes = new Uint8Array(layout.count * pieceHashBytes)
  }

  /** `undefined` when they do not join to one from the first piece on. */
  static of(lists: readonly SignedPieceList[]): PieceHashes | undefined {
    const [first] = lists
    if (first === undefined) return undefined
    const joined = new PieceHashes(first.digest, first.layout)
    for (const list of lists) {
      if (!joined.fits(list)) return undefined
      joined.add(list)
    }
    return joined
  }

  get hashes(): Uint8Array {
    return this.#hashes.subarray(0, this.#known * pieceHashBytes)
  }

  /** Of how many pieces, from the first on. */
  get known(): number {
    return this.#known
  }

  get complete(): boolean {
    return this.#known === this.layout.count
  }

  /** Who signed what of it. */
  get lists(): readonly SignedPieceList[] {
    return this.#lists
  }

  /** Whether the list goes on from here, or tells the same of what is known. */
  fits(list: SignedPieceList): boolean {
    const { after, hashes, layout } = list
    if (layout.size !== this.layout.size) return false
    if (after !== undefined) {
      if (after.pieces > this.#known) return false
      if (Buffer.compare(prefixOf(this, after.pieces).hashes, after.hashes) !== 0) return false
    }
    return agree(this.hashes.subarray(firstPiece(list) * pieceHashBytes), hashes)
  }

  /** Whether the two say the same of all that both know. */
  agrees({ layout, hashes }: PieceList): boolean {
    return layout.size === this.layout.size && agree(this.hashes, hashes)
  }

  /** One that fits. */
  add(list: SignedPieceList): void {
    const first = firstPiece(list)
    // What came here from the origin is signed here, before others go on from there.
    if (list.after !== undefined && first > this.#signed) return
    const end = first + list.hashes.length / pieceHashBytes
    this.#hashes.set(list.hashes, first * pieceHashBytes)
    this.#known = Math.max(this.#known, end)
    // Who vouches for the whole stands for every section.
    if (list.after === undefined) this.#lists = [list]
    else if (end > this.#signed) this.#lists.push(list)
    this.#signed = Math.max(this.#signed, end)
  }

  /** The next piece as it came here from the origin: `seal` signs it. */
  append(hash: Uint8Array): void {
    this.#hashes.set(hash, this.#known * pieceHashBytes)
    this.#known++
  }

  /** Signs what came here from the origin and was not signed yet. Returns whether there was anything. */
  seal(identity: Identity): boolean {
    if (this.#signed >= this.#known) return false
    const hashes = this.hashes.slice(this.#signed * pieceHashBytes)
    const after = prefixOf(this, this.#signed)
    const { digest, layout } = this
    this.#lists.push(signPieceList({ digest, size: layout.size, hashes, after }, identity))
    this.#signed = this.#known
    return true
  }

  /** The lists that tell of the piece and of what comes behind it. */
  listsFrom(piece: number): SignedPieceList[] {
    return this.#lists.filter(
      (list) => firstPiece(list) + list.hashes.length / pieceHashBytes > piece || this.layout.count === 0,
    )
  }
}

function agree(a: Uint8Array, b: Uint8Array): boolean {
  const both = Math.min(a.length, b.length)
  return Buffer.compare(a.subarray(0, both), b.subarray(0, both)) === 0
}
