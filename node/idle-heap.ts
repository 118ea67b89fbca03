/** Gives back what a load made V8 take, once the node rests: by itself V8 keeps young space and free pages for the next load. */
import { performance } from 'node:perf_hooks'
import { Background, type Clock, type Logger } from '../src/base/base.ts'

/** Twice within the minute after a load. */
const lookMs = 20_000
/** The part of its time that the main thread works in, from which on the node does not rest. */
const busy = 0.1
/** Less than this is not worth going through the heap for, some 100 ms on a small machine. */
const worthBytes = 8 * 1024 * 1024

export interface Heap {
  residentBytes(): number
  /** Of the main thread's time since the last call, from 0 to 1. */
  utilization(): number
  /** Collects all there is, and gives back what is free. */
  collect(): void
}

export interface IdleHeapOptions {
  /** Lets go of what is kept for the next load; false while anything moves, which a collection would hold up. */
  rest(): boolean
  clock: Clock
  logger: Logger
  random?: () => number
}

/** Looks on until it is disposed of. */
export function openIdleHeap(
  heap: Heap,
  { rest, clock, logger, random = Math.random }: IdleHeapOptions,
): AsyncDisposable {
  const background = new Background('the node', logger)
  let afterLastBytes = 0
  background.every('giving memory back', lookMs, { clock, random }, async () => {
    const before = heap.residentBytes()
    if (heap.utilization() > busy || !rest() || before < afterLastBytes + worthBytes) return
    heap.collect()
    afterLastBytes = heap.residentBytes()
    logger.debug({ before, after: afterLastBytes }, 'gave memory back')
  })
  return background
}

/** Collects nothing where Node was started without --expose-gc, with which `scripts/shoal` and the packages start it. */
export function processHeap(): Heap {
  const { gc = () => undefined } = globalThis
  let last = performance.eventLoopUtilization()
  return {
    residentBytes: () => process.memoryUsage.rss(),
    utilization() {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, last)
      last = now
      return utilization
    },
    // As when memory ran out: anything less leaves young space and free pages as they are.
    collect: () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
  }
}
