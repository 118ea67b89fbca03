/** Signed lists on one wire or in one row: each behind its length, four bytes, big-endian. */
import type { Digest } from '../../oci/oci.ts'
import { MalformedError, type Verifier } from '../../wire/wire.ts'
import { maxPieceListBytes, openPieceList, pieceListLimit, type SignedPieceList } from './piece-list.ts'

const lengthBytes = 4
/** So much more than one list of everything may the sections take that make it up: signatures cost. */
const sectionsBytes = 64 * 1024
/** So many come at once: what each goes on from is hashed. Those behind them are asked for next. */
const maxLists = 256
export const maxListPackBytes = maxPieceListBytes + sectionsBytes

/** What lists for a blob of `size` bytes may measure together: refuse more before anything is allocated for them. */
export function listPackLimit(size: number): number {
  return pieceListLimit(size) + sectionsBytes
}

/** At least the first, and then as many as fit into what `listPackLimit` says, and as whoever reads them takes. */
export function packLists(
  lists: readonly SignedPieceList[],
  maxBytes = maxListPackBytes,
  most = maxLists,
): Uint8Array {
  const parts: Uint8Array[] = []
  let total = 0
  for (const { bytes } of lists.slice(0, most)) {
    if (total > 0 && total + lengthBytes + bytes.length > maxBytes) break
    const length = Buffer.alloc(lengthBytes)
    length.writeUInt32BE(bytes.length)
    parts.push(length, bytes)
    total += lengthBytes + bytes.length
  }
  return new Uint8Array(Buffer.concat(parts))
}

/** Reads them, `most` at most, and proves each signature; see `openPieceList`. Throws `MALFORMED`, and `BAD_SIGNATURE`. */
export async function openLists(
  pack: Uint8Array,
  { most = maxLists, ...wanted }: { digest: Digest; size?: number; most?: number },
  verifier: Verifier,
): Promise<SignedPieceList[]> {
  const lists: SignedPieceList[] = []
  for (const bytes of unpack(pack, most)) lists.push(await openPieceList(bytes, wanted, verifier))
  return lists
}

function unpack(pack: Uint8Array, most: number): Uint8Array[] {
  const view = new DataView(pack.buffer, pack.byteOffset, pack.byteLength)
  const parts: Uint8Array[] = []
  for (let at = 0; at < pack.length; ) {
    const start = at + lengthBytes
    const end = start > pack.length ? Number.POSITIVE_INFINITY : start + view.getUint32(at)
    if (end > pack.length) throw new MalformedError(`a piece list that goes beyond byte ${pack.length}`)
    if (parts.length >= most) throw new MalformedError(`more than ${most} piece lists at once`)
    parts.push(pack.subarray(start, end))
    at = end
  }
  if (parts.length === 0) throw new MalformedError('no piece list at all')
  return parts
}
