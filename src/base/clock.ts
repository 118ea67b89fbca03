/** Time as a collaborator, so that a test can hold it still. */
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. Does not hold the process open. */
  sleep(ms: number, options?: { signal?: AbortSignal }): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, { signal } = {}) => {
    await delay(ms, undefined, signal === undefined ? { ref: false } : { ref: false, signal })
  },
}
