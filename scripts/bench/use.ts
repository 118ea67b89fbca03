/** What a process takes while nobody asks anything of it: processor and wake-ups, from /proc. */
import { readdir, readFile } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { processorMs } from './processor.ts'

export interface Use {
  /** Of one core. */
  percent: number
  /** Of all its threads. */
  wakeUpsPerSecond: number
}

/** Looks on for `ms`. */
export async function useOf(pid: number, ms: number, { signal }: { signal: AbortSignal }): Promise<Use> {
  const before = await read(pid)
  const begunMs = performance.now()
  await delay(ms, undefined, { signal })
  const after = await read(pid)
  const tookMs = performance.now() - begunMs
  return {
    percent: ((after.busyMs - before.busyMs) / tookMs) * 100,
    wakeUpsPerSecond: ((after.wakeUps - before.wakeUps) / tookMs) * 1000,
  }
}

async function read(pid: number): Promise<{ busyMs: number; wakeUps: number }> {
  const busyMs = await processorMs(pid)
  let wakeUps = 0
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const status = await readFile(`/proc/${pid}/task/${thread}/status`, 'utf8')
    wakeUps += Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0)
  }
  return { busyMs, wakeUps }
}
