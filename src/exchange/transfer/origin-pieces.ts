/** A blob's bytes from the origin: cut into pieces, and written as the next ones nobody has. */
import { type Clock, unlessAborted } from '../../base/base.ts'
import type { Origin, OriginStream } from '../contract.ts'
import { OriginError } from '../errors.ts'
import { type Layout, layoutOf, pieceAt, pieceLength, pieceRange } from '../protocol/piece-size.ts'
import type { Attempt } from './attempt.ts'
import type { ListJudge } from './list-judge.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { Source } from './source.ts'
import type { Sources } from './sources.ts'
import type { TransferState } from './transfer-state.ts'

/** Of the transfer that they come into. */
export interface OriginPiecesParts {
  state: TransferState
  judge: Pick<ListJudge<Source>, 'isListed' | 'begin' | 'grow'>
  sources: Pick<Sources, 'holding'>
}

export interface OriginPiecesOptions {
  origin: Origin
  memory: MemoryBudget
  clock: Clock
  /** An origin that sends nothing for so long has stalled. */
  stallMs: number
}

/** The piece that is being received. */
interface ComingPiece {
  readonly number: number
  readonly bytes: Uint8Array
  filled: number
}

/** So many pieces that others have are read along rather than asking anew for what is behind them. */
const gapPieces = 4
/** How long others may take to tell what their pieces hash to. */
const learnMs = 1000
const tickMs = 50

export class OriginPieces {
  readonly #parts: OriginPiecesParts
  readonly #options: OriginPiecesOptions
  readonly #stalled = new AbortController()
  #waitsSinceMs: number | undefined

  constructor(parts: OriginPiecesParts, options: OriginPiecesOptions) {
    this.#parts = parts
    this.#options = options
  }

  /** Call it now and then. */
  check(): void {
    const sinceMs = this.#waitsSinceMs
    const { clock, stallMs } = this.#options
    if (sinceMs === undefined || clock.now() - sinceMs <= stallMs) return
    this.#stalled.abort(this.#broken(`nothing came from the origin for ${stallMs} ms`))
  }

  /**
   * Until nothing is missing that no member has; false when there is no such blob. Throws what the origin throws, and
   * OriginError when it stalls, ends early, or never ends.
   */
  async run({ signal }: { signal: AbortSignal }): Promise<boolean> {
    const either = AbortSignal.any([signal, this.#stalled.signal])
    for (;;) {
      const start = await this.#next(either)
      if (start === undefined) return true
      const stream = await this.#waited(this.#options.origin.open(start, { signal: either }), either)
      if (stream === undefined) return false
      await using _open = stream
      const attempt = await this.#attemptFor(stream.size, either)
      const { layout } = attempt.candidate.list
      const { memory } = this.#options
      const bytes = 2 * layout.pieceBytes
      using _lease = await memory.lend({ least: bytes, most: bytes, signal: either })
      const isSame = await this.#copy(stream, { start, attempt, signal: either })
      // What came contradicts what others signed: one of both is wrong, and only the whole digest says which.
      if (!isSame) this.#begin(stream.size)
    }
  }

  /** Where to read on: at the first piece that no member has. `undefined` when the transfer needs nothing more. */
  async #next(signal: AbortSignal): Promise<number | undefined> {
    const { clock } = this.#options
    const { state, judge, sources } = this.#parts
    const untilMs = clock.now() + learnMs
    for (;;) {
      signal.throwIfAborted()
      const { attempt } = state
      if (state.isProven || attempt?.held.complete === true) return undefined
      // A list is to be had from who holds some of it.
      const isElsewhere = sources.holding().some(({ holds }) => holds.held.held > 0)
      const isAwaited = judge.isListed || (isElsewhere && clock.now() <= untilMs)
      if (attempt === undefined && !isAwaited) return 0
      if (attempt !== undefined) {
        const { known, layout } = attempt.candidate.list
        const piece = attempt.firstAbsent()
        const isLearnt = piece === undefined || piece <= known
        if (piece !== undefined && isLearnt) return pieceRange(layout, piece).start
        if (!isLearnt && clock.now() > untilMs) return pieceRange(layout, known).start
        judge.grow()
      }
      await Promise.race([unlessAborted(state.change, signal), clock.sleep(tickMs, { signal })])
    }
  }

  /** The download for a blob of this size. */
  async #attemptFor(size: number, signal: AbortSignal): Promise<Attempt> {
    const { state, judge } = this.#parts
    let isBegun = false
    for (;;) {
      const { attempt } = state
      if (attempt?.candidate.list.layout.size === size) return attempt
      if (!isBegun && (attempt !== undefined || !judge.isListed)) {
        isBegun = true
        this.#begin(size)
      }
      await unlessAborted(state.change, signal)
    }
  }

  /** A list of what comes from the origin. */
  #begin(size: number): void {
    this.#parts.judge.begin(layoutOf(size))
    this.#parts.state.news()
  }

  /** Until the end, or until others have what comes next; false when they signed something else than what came. */
  async #copy(
    stream: OriginStream,
    { start, attempt, signal }: { start: number; attempt: Attempt; signal: AbortSignal },
  ): Promise<boolean> {
    const { layout } = attempt.candidate.list
    const chunks = stream.chunks[Symbol.asyncIterator]()
    let position = stream.start
    let piece = this.#beginPiece(layout, position)
    let write: Promise<boolean> = Promise.resolve(true)
    try {
      for (;;) {
        const next = await this.#waited(chunks.next(), signal)
        if (next.done === true) break
        this.#parts.state.movedMs = this.#options.clock.now()
        for (let rest = next.value; rest.length > 0; ) {
          if (piece === undefined) throw this.#broken(`more than its ${stream.size} bytes came`)
          const part = rest.subarray(0, piece.bytes.length - piece.filled)
          piece.bytes.set(part, piece.filled)
          piece.filled += part.length
          position += part.length
          rest = rest.subarray(part.length)
          if (piece.filled < piece.bytes.length) continue
          // One is written while the next one comes: the disk holds the line back, and not the memory.
          if (!(await write)) return false
          const { number, bytes } = piece
          write = attempt.take(number, bytes)
          piece = this.#beginPiece(layout, position)
          // Where ranges are not to be had, all that lies before is read along.
          if (position > start && !this.#isWorthReading(attempt, number + 1)) return await write
        }
      }
      if (position < stream.size) throw this.#broken(`it ended after ${position} of ${stream.size} bytes`)
      return await write
    } catch (error) {
      // Whatever else went wrong, what came before it may contradict what others signed.
      if (!(await write.catch(() => true))) return false
      throw error
    } finally {
      // Its failure is the attempt's; here it only has to be over.
      await write.catch(() => false)
    }
  }

  #isWorthReading(attempt: Attempt, piece: number): boolean {
    const next = attempt.firstAbsent(piece)
    return next !== undefined && next <= piece + gapPieces
  }

  #beginPiece(layout: Layout, start: number): ComingPiece | undefined {
    if (start >= layout.size) return undefined
    const number = pieceAt(layout, start)
    if (pieceRange(layout, number).start !== start) throw this.#broken(`it began at ${start}`)
    return { number, bytes: new Uint8Array(pieceLength(layout, number)), filled: 0 }
  }

  /** Waiting for the origin, and for nothing else, counts as its silence. */
  async #waited<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
    this.#waitsSinceMs = this.#options.clock.now()
    try {
      return await unlessAborted(promise, signal)
    } finally {
      this.#waitsSinceMs = undefined
    }
  }

  #broken(what: string): OriginError {
    return new OriginError(this.#parts.state.digest, what)
  }
}
