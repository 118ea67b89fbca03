/** Which pieces of a part were written so lately that the kernel still has them in memory, as far as can be told. */

/** Less than any host that runs containers has for its page cache; what it has given away shows by its slowness. */
const defaultBytes = 256 * 1024 * 1024
/** A megabyte from memory takes a tenth of a millisecond, and from a disk more than one. */
const slowMs = 4
/** One alone may have been slow while somebody else read from the disk. */
const slowInTurn = 2

/** How often this process had to wait for a disk: what waited for a processor only did not. */
function countDiskReads(): number {
  return process.resourceUsage().fsRead
}

export class FreshPieces {
  readonly #pieceBytes: number
  readonly #most: number
  /** In the order in which they were written. */
  readonly #pieces = new Set<number>()
  readonly #diskReads: () => number
  /** When a read was slow last. */
  #before: number
  #slow = 0

  constructor(
    pieceBytes: number,
    {
      mostBytes = defaultBytes,
      diskReads = countDiskReads,
    }: { mostBytes?: number | undefined; diskReads?: () => number } = {},
  ) {
    this.#pieceBytes = pieceBytes
    this.#diskReads = diskReads
    this.#before = diskReads()
    this.#most = Math.max(1, Math.floor(mostBytes / pieceBytes))
  }

  add(piece: number): void {
    this.#pieces.add(piece)
    if (this.#pieces.size <= this.#most) return
    for (const oldest of this.#pieces) {
      this.#pieces.delete(oldest)
      return
    }
  }

  /** Whether all pieces with bytes from `start` to `end` are such. */
  has(start: number, end: number): boolean {
    for (let piece = Math.floor(start / this.#pieceBytes); piece * this.#pieceBytes < end; piece++) {
      if (!this.#pieces.has(piece)) return false
    }
    return true
  }

  /** After reads that were slow for the disk nothing that was written before counts as being in memory. */
  took(ms: number): void {
    const isSlow = ms > slowMs && this.#hasReadDisk()
    this.#slow = isSlow ? this.#slow + 1 : 0
    if (this.#slow < slowInTurn) return
    this.#pieces.clear()
    this.#slow = 0
  }

  /** Since a read was slow last. */
  #hasReadDisk(): boolean {
    const before = this.#before
    this.#before = this.#diskReads()
    return this.#before !== before
  }
}
