/** What of the processors is used, by the whole machine and by some processes, from /proc. */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'

export interface ProcessorUse {
  /** Of all processors together, 0 to 1, by everything on the machine. */
  busy: number
  /** CPU milliseconds of each process, in the order given. */
  processMs: number[]
  elapsedMs: number
}

/** The kernel's USER_HZ, which is 100 wherever Linux runs Node. */
const tickMs = 10

/** Starts to count; the function that it returns tells what was used since. */
export async function meterProcessor(pids: readonly number[]): Promise<() => Promise<ProcessorUse>> {
  const before = await read(pids)
  return async () => {
    const after = await read(pids)
    const elapsedMs = after.atMs - before.atMs
    return {
      elapsedMs,
      busy: (after.busyMs - before.busyMs) / (elapsedMs * availableParallelism()),
      processMs: after.processMs.map((ms, index) => ms - (before.processMs[index] ?? 0)),
    }
  }
}

async function read(pids: readonly number[]) {
  const busyMs = await machineBusyMs()
  return { atMs: performance.now(), busyMs, processMs: await Promise.all(pids.map(processMs)) }
}

/** proc_stat(5): user nice system idle iowait irq softirq steal. Steal is time that this machine did not have. */
async function machineBusyMs(): Promise<number> {
  const [first = ''] = (await readFile('/proc/stat', 'utf8')).split('\n')
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = first
    .split(/\s+/)
    .slice(1)
    .map(Number)
  return (user + nice + system + irq + softirq + steal) * tickMs
}

/** The name in the second field may hold spaces, so what is wanted is counted from its end. */
async function processMs(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * tickMs
}
