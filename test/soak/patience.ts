/** How long a soak waits: its bounds are of a machine that does nothing else, and longer on one with more to run than processors. */
import { availableParallelism, loadavg } from 'node:os'

const most = 20

/** So many times what it would take on a quiet machine. */
export function patient(ms: number, [load = 0] = loadavg(), processors = availableParallelism()): number {
  return Math.round(ms * Math.min(most, Math.max(1, load / processors)))
}
