/**
 * The piece list of a blob: the SHA-256 of each piece, signed by the node that vouches for it.
 *
 *     { digest, pieces, size }                              all of them, of a blob that its author has proven
 *     { after: { hashes, pieces }, digest, pieces, size }   a section: those that came next from the origin
 *
 * as deterministic CBOR in a signed envelope, `pieces` being the hashes in one byte string. Where the pieces lie follows
 * from `size`. The list travels with its signature, so that whoever vouched is known wherever it came from: when every
 * piece matches and the whole blob does not, its author lied or holds a rotten blob, and nobody else did.
 *
 * Who streams a blob from an upstream can say of the first pieces what it received, and prove nothing before the last. A
 * section names what it follows on: how many pieces, and the SHA-256 of all their hashes. So sections of several authors join
 * only where each meant them to.
 */
import { hash } from 'node:crypto'
import type { Digest } from '../../oci/oci.ts'
import {
  bytes,
  codec,
  digestText,
  type Envelope,
  envelopeOverhead,
  type Identity,
  MalformedError,
  optional,
  peerIdOf,
  seal,
  struct,
  uint,
  unseal,
  type Verifier,
} from '../../wire/wire.ts'
import { type Layout, layoutOf, maxBlobBytes, maxPieces } from './piece-size.ts'

export const pieceListDomain = 'shoal-pieces-v1\0'
export const pieceHashBytes = 32

/** More than the map, its keys, the longest digest and the largest numbers take. */
const frameBytes = 256 + envelopeOverhead
export const maxPieceListBytes = frameBytes + maxPieces * pieceHashBytes

const listCodec = codec(
  struct({
    after: optional(
      struct({ hashes: bytes({ length: pieceHashBytes }), pieces: uint({ max: maxPieces - 1 }) }),
    ),
    digest: digestText,
    pieces: bytes({ max: maxPieces * pieceHashBytes }),
    size: uint({ max: maxBlobBytes }),
  }),
  { maxBytes: maxPieceListBytes - envelopeOverhead },
)

export interface PieceList {
  readonly digest: Digest
  readonly layout: Layout
  /** Of the pieces from the first on, one after the other: of all of them, or as far as they are known. */
  readonly hashes: Uint8Array
}

/** What a section follows on: so many pieces, and the SHA-256 of their hashes. */
export interface Prefix {
  readonly pieces: number
  readonly hashes: Uint8Array
}

export interface SignedPieceList extends PieceList {
  /** Of a section, whose `hashes` are those of the next pieces; absent when the author vouches for the whole. */
  readonly after?: Prefix
  /** The peer id of the node that vouches. */
  readonly author: string
  /** The whole envelope, to be passed on as it is. */
  readonly bytes: Uint8Array
}

/** What a list for a blob of `size` bytes may measure: refuse more before anything is allocated for it. */
export function pieceListLimit(size: number): number {
  return frameBytes + layoutOf(size).count * pieceHashBytes
}

/**
 * `hashes` are those of the pieces that `layoutOf(size)` says, behind those that `after` names. Throws `MALFORMED` when their
 * number is not right.
 */
export function signPieceList(
  { digest, size, hashes, after }: { digest: Digest; size: number; hashes: Uint8Array; after?: Prefix },
  identity: Identity,
): SignedPieceList {
  const layout = checkedLayout(size, hashes, after)
  const section = after === undefined ? {} : { after }
  const sealed = seal(
    pieceListDomain,
    listCodec.encode({ ...section, digest, pieces: hashes, size }),
    identity,
  )
  return { digest, layout, ...section, hashes, author: identity.peerId, bytes: sealed }
}

/** The first piece that the list tells of. */
export function firstPiece({ after }: Pick<SignedPieceList, 'after'>): number {
  return after?.pieces ?? 0
}

/** As a section names what it follows on. */
export function prefixOf({ hashes }: Pick<PieceList, 'hashes'>, pieces: number): Prefix {
  const digest = hash('sha256', hashes.subarray(0, pieces * pieceHashBytes), 'buffer')
  return { pieces, hashes: Uint8Array.from(digest) }
}

/**
 * Reads a list and proves its signature; `verifier` is `createVerifier(pieceListDomain)`. `wanted` is what the list has to be
 * about. Keeps `bytes`. Throws `MALFORMED`, and `BAD_SIGNATURE`.
 */
export async function openPieceList(
  bytes: Uint8Array,
  wanted: { digest: Digest; size?: number },
  verifier: Verifier,
): Promise<SignedPieceList> {
  const { list, envelope } = read(bytes)
  if (list.digest !== wanted.digest) throw new MalformedError('a piece list of another blob')
  if (wanted.size !== undefined && list.layout.size !== wanted.size) {
    throw new MalformedError(`a piece list for ${list.layout.size} bytes; the blob has ${wanted.size}`)
  }
  await verifier.verify(envelope)
  return list
}

/** Everything but the signature. Throws `MALFORMED`. */
export function decodePieceList(bytes: Uint8Array): SignedPieceList {
  return read(bytes).list
}

function read(bytes: Uint8Array): { list: SignedPieceList; envelope: Envelope } {
  if (bytes.length > maxPieceListBytes) {
    throw new MalformedError(
      `a piece list of ${bytes.length} bytes; at most ${maxPieceListBytes} are allowed`,
    )
  }
  const envelope = unseal(bytes)
  const { after, digest, size, pieces } = listCodec.decode(envelope.body)
  const layout = checkedLayout(size, pieces, after)
  const section = after === undefined ? {} : { after }
  return {
    list: { digest, layout, ...section, hashes: pieces, author: peerIdOf(envelope.author), bytes },
    envelope,
  }
}

/** The hash that a piece has to have. Throws RangeError when it is not known, or there is no such piece. */
export function pieceHash({ hashes, layout }: PieceList, piece: number): Uint8Array {
  if ((piece + 1) * pieceHashBytes > hashes.length) {
    throw new RangeError(`piece ${piece} of a blob that has ${layout.count}`)
  }
  return hashes.subarray(piece * pieceHashBytes, (piece + 1) * pieceHashBytes)
}

function checkedLayout(size: number, hashes: Uint8Array, after: Prefix | undefined): Layout {
  const layout = layoutOf(size)
  if (after !== undefined) {
    const end = after.pieces + hashes.length / pieceHashBytes
    if (!Number.isInteger(end) || end <= after.pieces || end > layout.count) {
      throw new MalformedError(
        `a section of ${hashes.length} bytes behind ${after.pieces} pieces of ${layout.count}`,
      )
    }
  } else if (hashes.length !== layout.count * pieceHashBytes) {
    throw new MalformedError(
      `${hashes.length} bytes of piece hashes for ${size} bytes; expected ${layout.count * pieceHashBytes}`,
    )
  }
  return layout
}
