/** One downloader in the eyes of an upload: what it waits for, what is on its way to it, and whether that arrives. */
import { Flight } from './flight.ts'
import { isOf, type Sending, type Waiting } from './on-their-way.ts'
import type { UploadWant } from './upload-events.ts'

export class UploadPeer {
  readonly id: string
  readonly knownMs: number
  /** By blob. */
  readonly wants = new Map<string, Set<number | undefined>>()
  queue: Waiting[] = []
  readonly sending: Sending[] = []
  /** Pieces of all blobs that were sent to it. */
  given = 0
  readonly #flight: Flight
  /** When it last asked for something, or got it. */
  #activeMs: number
  /** When a piece arrived there, or it came. */
  #progressMs: number
  #hasArrived = false

  constructor(
    id: string,
    { knownMs, nowMs, least, most }: { knownMs: number; nowMs: number; least: number; most: number },
  ) {
    this.id = id
    this.knownMs = knownMs
    this.#flight = new Flight({ least, most })
    this.#activeMs = nowMs
    this.#progressMs = nowMs
  }

  /** Nothing has arrived there yet, or something has not that should have. */
  get isStranger(): boolean {
    return !this.#hasArrived || this.sending.some(({ overdue, isSmall }) => overdue && !isSmall)
  }

  get isBusy(): boolean {
    return this.queue.length + this.sending.length > 0
  }

  /** Since then it asks for nothing, or nothing arrives of what it asked for. */
  isIdleSince(beforeMs: number): boolean {
    if (!this.isBusy) return this.#activeMs <= beforeMs
    return this.#progressMs <= beforeMs && this.sending.some(({ beganMs }) => beganMs <= beforeMs)
  }

  hasRoom(nowMs: number): boolean {
    let count = 0
    for (const { overdue } of this.sending) if (!overdue) count++
    return count < this.#flight.size(nowMs)
  }

  get smallOnes(): number {
    return this.sending.filter(({ isSmall }) => isSmall).length
  }

  /** Whether it waits for the piece already, or is being sent it. */
  knows(asked: UploadWant, piece: number): boolean {
    const same = (waiting: Waiting): boolean => waiting.piece === piece && isOf(waiting, asked)
    return this.queue.some(same) || this.sending.some((each) => same(each) && !each.stopped)
  }

  asks(nowMs: number): void {
    this.#activeMs = nowMs
  }

  begin(sending: Sending, nowMs: number): void {
    this.sending.push(sending)
    this.given++
    if (!sending.isSmall) this.#flight.begin(nowMs)
  }

  end(over: Sending, nowMs: number): void {
    this.#activeMs = nowMs
    const at = this.sending.indexOf(over)
    if (at < 0) return
    this.sending.splice(at, 1)
    if (!over.isSmall) this.#flight.end(over.beganMs, nowMs, { arrived: !over.stopped })
    if (over.stopped) return
    this.#progressMs = nowMs
    this.#hasArrived = true
  }
}
