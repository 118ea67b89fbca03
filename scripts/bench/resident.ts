/** The resident memory of a process and its descendants, from /proc. */
import { readdir, readFile, writeFile } from 'node:fs/promises'

/** Starts the kernel's high-water mark of every process over (proc(5), clear_refs). */
export async function resetPeak(pid: number): Promise<void> {
  for (const member of await familyOf(pid)) await writeFile(`/proc/${member}/clear_refs`, '5')
}

/** The sum of the processes' high-water marks (VmHWM) in MiB, all threads included. */
export function peakMiB(pid: number): Promise<number> {
  return sumMiB(pid, 'VmHWM')
}

/** What is resident now in MiB, mapped files included. */
export function residentMiB(pid: number): Promise<number> {
  return sumMiB(pid, 'VmRSS')
}

/** Of what is resident now, mapped files in MiB: those of one program are in memory once, however many processes run it. */
export function mappedMiB(pid: number): Promise<number> {
  return sumMiB(pid, 'RssFile')
}

/** What is resident now, without mapped files, in MiB. */
export function anonymousMiB(pid: number): Promise<number> {
  return sumMiB(pid, 'RssAnon')
}

async function sumMiB(pid: number, field: string): Promise<number> {
  let sum = 0
  for (const member of await familyOf(pid)) {
    const status = await readFile(`/proc/${member}/status`, 'utf8')
    const kib = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]
    sum += Number(kib ?? 0) / 1024
  }
  return sum
}

/** The process and all that it started. */
export async function familyOf(pid: number): Promise<number[]> {
  const family = [pid]
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const children = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8')
    for (const child of children.split(' ').filter(Boolean)) family.push(...(await familyOf(Number(child))))
  }
  return family
}
