/**
 * Bodies that are on their way here: how slow each may be, and how much memory all of them may hold.
 *
 * A body that is kept in memory until it is whole, as a manifest is, is granted its memory in steps, as its bytes arrive. Where
 * all is granted, large ones are not read on until others are done, but for one at a time, which may go beyond; and while
 * any waits, whoever takes long is ended.
 */
import { OciError } from '../oci/oci.ts'

/** How slow a client may be. Only the time counts that is spent waiting for it. */
export interface Pace {
  /** It may be silent for so long, and in debt to its rate. */
  graceMs: number
  bytesPerSecond: number
}

export interface BodyLimits {
  /** For bodies that are held, in all. */
  budgetBytes: number
  /** Of each, and outside of the budget: Node has read as much before anybody asked for it. More is granted in steps of that. */
  stepBytes: number
  /** Each is read ahead of whoever takes its bytes so far, and all together so far, but for a step of each. */
  aheadBytes: { each: number; all: number }
  held: Pace
  /** While others wait for memory. */
  heldInNeed: Pace
  /** Goes to the disk as it comes: a client may pause for long between two parts of a layer. */
  streamed: Pace
}

export const bodyLimits: BodyLimits = {
  budgetBytes: 64 * 1024 * 1024,
  stepBytes: 64 * 1024,
  aheadBytes: { each: 512 * 1024, all: 32 * 1024 * 1024 },
  held: { graceMs: 30_000, bytesPerSecond: 4 * 1024 },
  heldInNeed: { graceMs: 5_000, bytesPerSecond: 32 * 1024 },
  streamed: { graceMs: 600_000, bytesPerSecond: 128 },
}

export type BodyKind = 'held' | 'streamed'

/** The request's end of it. */
export interface BodyControls {
  /** Reads no more of it, until `resume`. */
  pause(): void
  resume(): void
  fail(error: Error): void
}

const tickMs = 1_000

export interface BodyWatchOptions {
  limits?: Partial<BodyLimits>
  /** Monotonic. */
  nowMs?: () => number
  /** Calls it every second until what is returned is called. */
  everySecond?: (tick: () => void) => () => void
}

export class BodyWatch {
  readonly limits: BodyLimits
  readonly nowMs: () => number
  readonly #everySecond: (tick: () => void) => () => void
  readonly #coming = new Set<ComingBody>()
  /** Those that are not read on, in order. */
  readonly #queue = new Set<ComingBody>()
  /** The one that may go beyond the budget, so that always somebody gets on. */
  #beyond: ComingBody | undefined
  #heldBytes = 0
  #stop: (() => void) | undefined

  constructor({ limits, nowMs = () => performance.now(), everySecond = interval }: BodyWatchOptions = {}) {
    this.limits = { ...bodyLimits, ...limits }
    this.nowMs = nowMs
    this.#everySecond = everySecond
  }

  /** Bodies that are being read. */
  get size(): number {
    return this.#coming.size
  }

  /** How far each is read ahead now. */
  get aheadBytes(): number {
    const { stepBytes, aheadBytes } = this.limits
    return Math.max(stepBytes, Math.min(aheadBytes.each, aheadBytes.all / Math.max(1, this.size)))
  }

  /** What bodies were granted beyond the first step of each. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** `length` is absent where the client does not say it. */
  open(kind: BodyKind, length: number | undefined, controls: BodyControls): ComingBody {
    const body = new ComingBody(this, { kind, length, controls })
    this.#coming.add(body)
    this.#stop ??= this.#everySecond(() => this.tick())
    return body
  }

  /** Ends those that are too slow. */
  tick(): void {
    for (const body of [...this.#coming]) if (body.isTooSlow(this.#queue.size > 0)) this.#end(body)
  }

  /** One step more for a body; without it, it has to wait in the queue. */
  grant(body: ComingBody): boolean {
    const { budgetBytes, stepBytes } = this.limits
    if (this.#heldBytes + stepBytes > budgetBytes) {
      this.#beyond ??= body
      if (this.#beyond !== body) {
        this.#queue.add(body)
        return false
      }
    }
    this.#heldBytes += stepBytes
    return true
  }

  /** Nobody needs its bytes any more. */
  give(body: ComingBody, bytes: number): void {
    this.#heldBytes -= bytes
    if (this.#beyond === body) this.#beyond = undefined
    for (const next of this.#queue) {
      if (!next.readOn()) return
      this.#queue.delete(next)
    }
  }

  /** It is here, or will never be. */
  close(body: ComingBody): void {
    this.#coming.delete(body)
    this.#queue.delete(body)
    if (this.#coming.size > 0) return
    this.#stop?.()
    this.#stop = undefined
  }

  #end(body: ComingBody): void {
    const { controls } = body
    body.close()
    const error = new OciError(
      'REQUEST_TIMEOUT',
      'the body came too slowly; send it again, over a connection that brings it on',
    )
    controls.fail(error)
  }
}

/** Disposed of when nobody needs its bytes any more. */
export class ComingBody implements Disposable {
  readonly controls: BodyControls
  readonly #watch: BodyWatch
  readonly #pace: Pace
  readonly #isHeld: boolean
  readonly #length: number
  #bytes = 0
  /** Steps of memory beyond the first, which is everyone's. */
  #steps = 0
  #isClosed = false
  #isAwaited = false
  #isOnHold = false
  /** What it may still be late by. */
  #creditMs: number
  /** The same, by the pace that holds while others wait for memory. */
  #creditInNeedMs: number
  #waitingSinceMs: number | undefined

  constructor(
    watch: BodyWatch,
    { kind, length, controls }: { kind: BodyKind; length: number | undefined; controls: BodyControls },
  ) {
    this.controls = controls
    this.#watch = watch
    this.#isHeld = kind === 'held'
    this.#length = length ?? Number.POSITIVE_INFINITY
    this.#pace = watch.limits[kind]
    this.#creditMs = this.#pace.graceMs
    this.#creditInNeedMs = watch.limits.heldInNeed.graceMs
  }

  /** The client is waited for from now on, or not. */
  wait(isAwaited: boolean): void {
    this.#isAwaited = isAwaited
    this.#settle()
  }

  arrived(bytes: number): void {
    if (this.#isClosed) return
    this.#settle()
    this.#creditMs = credited(this.#creditMs, bytes, this.#pace)
    this.#creditInNeedMs = credited(this.#creditInNeedMs, bytes, this.#watch.limits.heldInNeed)
    this.#bytes += bytes
    if (this.#isHeld) this.readOn()
  }

  /** Reads on if there is memory for what may come next. */
  readOn(): boolean {
    const { stepBytes } = this.#watch.limits
    const needed = Math.min(this.#length, this.#bytes + stepBytes)
    while (stepBytes * (1 + this.#steps) < needed) {
      if (!this.#watch.grant(this)) {
        this.#hold(true)
        return false
      }
      this.#steps++
    }
    this.#hold(false)
    return true
  }

  /** By its own pace, or by that which holds while others wait for memory. */
  isTooSlow(isNeed: boolean): boolean {
    this.#settle()
    return this.#creditMs <= 0 || (isNeed && this.#steps > 0 && this.#creditInNeedMs <= 0)
  }

  #hold(isOnHold: boolean): void {
    if (isOnHold === this.#isOnHold || this.#isClosed) return
    this.#isOnHold = isOnHold
    this.#settle()
    if (isOnHold) this.controls.pause()
    else this.controls.resume()
  }

  /** All of it is here, or nobody waits for the rest. Its memory stays taken. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#settle()
    this.#watch.close(this)
  }

  [Symbol.dispose](): void {
    this.close()
    const bytes = this.#steps * this.#watch.limits.stepBytes
    this.#steps = 0
    this.#watch.give(this, bytes)
  }

  /** Counts what was waited until now, and whether it goes on. */
  #settle(): void {
    const nowMs = this.#watch.nowMs()
    const waitedMs = nowMs - (this.#waitingSinceMs ?? nowMs)
    this.#creditMs -= waitedMs
    this.#creditInNeedMs -= waitedMs
    const isWaiting = this.#isAwaited && !this.#isOnHold && !this.#isClosed
    this.#waitingSinceMs = isWaiting ? nowMs : undefined
  }
}

function credited(creditMs: number, bytes: number, { graceMs, bytesPerSecond }: Pace): number {
  return Math.min(graceMs, creditMs + (bytes / bytesPerSecond) * 1000)
}

function interval(tick: () => void): () => void {
  const timer = setInterval(tick, tickMs).unref()
  return () => clearInterval(timer)
}
