/** The processor time of a process and its descendants, from /proc. */
import { readFile } from 'node:fs/promises'
import { familyOf } from './resident.ts'

/** Linux tells it in hundredths of a second, whatever the kernel counts in (proc(5), `sysconf(_SC_CLK_TCK)`). */
const tickMs = 10

/** Of user and system, of all threads, since they were started, in ms. */
export async function processorMs(pid: number): Promise<number> {
  let ticks = 0
  for (const member of await familyOf(pid)) {
    const stat = await readFile(`/proc/${member}/stat`, 'utf8')
    // The second field is the program's name, which may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks * tickMs
}
