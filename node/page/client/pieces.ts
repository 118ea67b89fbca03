/** The pieces of a blob as cells of a picture: one for each piece, or for several where there are too many. */

/** From base64; the first piece is the highest bit of the first byte. */
export function readBitfield(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))
}

/** For each cell, the share of its pieces that are held, from 0 to 1. */
export function cellsOf(bitfield: Uint8Array, pieces: number, maxCells: number): number[] {
  const perCell = Math.max(1, Math.ceil(pieces / maxCells))
  const cells: number[] = []
  for (let start = 0; start < pieces; start += perCell) {
    const end = Math.min(pieces, start + perCell)
    let held = 0
    for (let piece = start; piece < end; piece++) if (holds(bitfield, piece)) held++
    cells.push(held / (end - start))
  }
  return cells
}

/** How many pieces are here from the beginning on without a gap: what a reader can have already. */
export function readablePieces(bitfield: Uint8Array, pieces: number): number {
  let piece = 0
  while (piece < pieces && holds(bitfield, piece)) piece++
  return piece
}

function holds(bitfield: Uint8Array, piece: number): boolean {
  return ((bitfield[piece >> 3] ?? 0) & (0x80 >> (piece & 7))) !== 0
}
