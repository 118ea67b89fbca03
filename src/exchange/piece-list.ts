/**
 * The piece list of a blob: the SHA-256 of each piece, signed by the node that vouches for it.
 *
 *     { digest, pieces, size }
 *
 * as deterministic CBOR in a signed envelope, `pieces` being all hashes in one byte string. Where the pieces lie follows
 * from `size`. The list travels with its signature, so that whoever vouched is known wherever it came from: when every
 * piece matches and the whole blob does not, its author lied or holds a rotten blob, and nobody else did.
 */
import { type Digest, parseDigest } from '../oci/oci.ts'
import {
  bytes,
  codec,
  type Envelope,
  envelopeOverhead,
  type Identity,
  MalformedError,
  peerIdOf,
  seal,
  struct,
  text,
  uint,
  unseal,
  type Verifier,
} from '../wire/wire.ts'
import { type Layout, layoutOf, maxBlobBytes, maxPieces } from './piece-size.ts'

export const pieceListDomain = 'shoal-pieces-v1\0'
export const pieceHashBytes = 32

/** More than the map, its keys, the longest digest and the largest numbers take. */
const frameBytes = 256 + envelopeOverhead
export const maxPieceListBytes = frameBytes + maxPieces * pieceHashBytes

const listCodec = codec(
  struct({
    digest: text<Digest>({ max: 135, parse: parseDigest }),
    pieces: bytes({ max: maxPieces * pieceHashBytes }),
    size: uint({ max: maxBlobBytes }),
  }),
  { maxBytes: maxPieceListBytes - envelopeOverhead },
)

export interface PieceList {
  readonly digest: Digest
  readonly layout: Layout
  /** All hashes, one after the other. */
  readonly hashes: Uint8Array
}

export interface SignedPieceList extends PieceList {
  /** The peer id of the node that vouches. */
  readonly author: string
  /** The whole envelope, to be passed on as it is. */
  readonly bytes: Uint8Array
}

/** What a list for a blob of `size` bytes may measure: refuse more before anything is allocated for it. */
export function pieceListLimit(size: number): number {
  return frameBytes + layoutOf(size).count * pieceHashBytes
}

/** `hashes` are those of the pieces that `layoutOf(size)` says. Throws `MALFORMED` when their number is not right. */
export function signPieceList(
  { digest, size, hashes }: { digest: Digest; size: number; hashes: Uint8Array },
  identity: Identity,
): SignedPieceList {
  const layout = checkedLayout(size, hashes)
  const sealed = seal(pieceListDomain, listCodec.encode({ digest, pieces: hashes, size }), identity)
  return { digest, layout, hashes, author: identity.peerId, bytes: sealed }
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
  const { digest, size, pieces } = listCodec.decode(envelope.body)
  const layout = checkedLayout(size, pieces)
  return { list: { digest, layout, hashes: pieces, author: peerIdOf(envelope.author), bytes }, envelope }
}

/** The hash that a piece has to have. */
export function pieceHash({ hashes, layout }: PieceList, piece: number): Uint8Array {
  if (piece >= layout.count) throw new RangeError(`piece ${piece} of a blob that has ${layout.count}`)
  return hashes.subarray(piece * pieceHashBytes, (piece + 1) * pieceHashBytes)
}

function checkedLayout(size: number, hashes: Uint8Array): Layout {
  const layout = layoutOf(size)
  if (hashes.length !== layout.count * pieceHashBytes) {
    throw new MalformedError(
      `${hashes.length} bytes of piece hashes for ${size} bytes; expected ${layout.count * pieceHashBytes}`,
    )
  }
  return layout
}
