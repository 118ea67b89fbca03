/** Time-outs for what others do, which a process that was kept from running does not take for their silence. */
import type { Clock } from './clock.ts'

/** What came meanwhile is read in each of them. */
const turns = 8

/** Aborts after `ms`, and not before this process had its turns in that time: on a full processor it takes as much longer. */
export function patience(ms: number, clock: Clock): AbortSignal {
  const late = new AbortController()
  const wait = async (): Promise<void> => {
    for (let turn = 0; turn < turns; turn++) await clock.sleep(ms / turns)
    late.abort(new DOMException(`nothing came of it within ${ms} ms`, 'TimeoutError'))
  }
  void wait()
  return late.signal
}
