/**
 * Hybrid logical time: milliseconds of the author's clock, and a counter for what the clock cannot tell apart.
 * A write is stamped later than the record it replaces, even when that one came from a clock that is ahead. Nothing
 * else of a remote time is taken over: if it were, one node's wrong clock would carry every other beyond the tolerance.
 */
import { type Infer, pair, uint } from '../wire/wire.ts'

export const maxCounter = 0xffff

export const timeSchema = pair(uint({ max: 2 ** 48 - 1 }), uint({ max: maxCounter }))

/** `[milliseconds since the epoch, counter]` */
export type Time = Infer<typeof timeSchema>

export function compareTimes(a: Time, b: Time): number {
  return a[0] - b[0] || a[1] - b[1]
}

/** The next time after `time` that can be told apart from it. */
export function tick([ms, counter]: Time): Time {
  return counter < maxCounter ? [ms, counter + 1] : [ms + 1, 0]
}

/** The time of a write at `nowMs` that replaces a record of time `replaced`. */
export function stamp(nowMs: number, replaced: Time | undefined): Time {
  const now: Time = [Math.max(0, Math.floor(nowMs)), 0]
  return replaced === undefined || compareTimes(now, replaced) > 0 ? now : tick(replaced)
}

/** A record from further ahead is refused. */
export const maxAheadMs = 5 * 60_000

export function isAhead([ms]: Time, nowMs: number): boolean {
  return ms - nowMs > maxAheadMs
}
