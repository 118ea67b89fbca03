/**
 * Time as a collaborator, so that a test can hold it still.
 *
 * There are two: `steadyClock` measures how long something took or may take, and never jumps; `wallClock` says what time it
 * is, for what is signed, compared with what others signed, or logged. Whoever sets the host's clock moves only the second.
 */
import { Alarm } from './alarm.ts'

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /**
   * Resolves after `ms`, up to 5 ms sooner or 25 ms later, or later by an eighth of it (0.8 s at most): sleepers are woken
   * together. Rejects with the signal's reason when it aborts first. Does not hold the process open.
   */
  sleep(ms: number, options?: { signal?: AbortSignal }): Promise<void>
}

const alarm = new Alarm({
  now: () => performance.now(),
  set(ms, ring) {
    const timer = setTimeout(ring, ms).unref()
    return () => clearTimeout(timer)
  },
})

const sleep: Clock['sleep'] = async (ms, { signal } = {}) => await alarm.sleep(ms, signal)

const originMs = Date.now() - performance.now()

/** How long a loop of this length sleeps so that all loops of the same length are woken together. */
export function inStep(everyMs: number, nowMs: number): number {
  // A sleep may end a little early, which is no reason for another one that short.
  return Math.ceil(nowMs / everyMs + 0.5) * everyMs - nowMs
}

/** Counts on from the time of day that the process began with, right or wrong, and is never set. */
export const steadyClock: Clock = { now: () => Math.floor(originMs + performance.now()), sleep }

/** The host's clock, which may be wrong, and be set at any moment. */
export const wallClock: Clock = { now: () => Date.now(), sleep }
