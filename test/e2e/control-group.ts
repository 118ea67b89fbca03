/** A control group (cgroups(7)) of a part of the machine, of version 1 or 2, whichever there is; gone with what ran in it. */

import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

const top = '/sys/fs/cgroup'
const periodUs = 100_000

export interface ControlGroup extends AsyncDisposable {
  /** A script that enters the group and becomes `command`. */
  script(command: string): string
  /** How often the kernel killed something in it for memory. */
  kills(): Promise<number>
}

/** Whether this user can make groups that limit both memory and processor. */
export function makesControlGroups(): boolean {
  const version = versionHere()
  if (version === undefined) return false
  return foldersOf(version, '').every((folder) => isWritable(folder))
}

let made = 0

export async function openControlGroup({
  processors,
  memoryBytes,
}: {
  processors: number
  memoryBytes: number
}): Promise<ControlGroup> {
  const version = versionHere()
  if (version === undefined) throw new Error(`no control groups for memory and cpu in ${top}`)
  const folders = foldersOf(version, `shoal-test-${process.pid}-${made++}`)
  const [memory = '', cpu = ''] = folders
  await using opened = new AsyncDisposableStack()
  if (version === 2) await writeFile(path.join(top, 'cgroup.subtree_control'), '+memory +cpu')
  for (const folder of new Set(folders)) {
    await mkdir(folder)
    opened.defer(() => rmdir(folder))
  }
  const quotaUs = String(processors * periodUs)
  if (version === 2) {
    await writeFile(path.join(memory, 'memory.max'), String(memoryBytes))
    await writeFile(path.join(cpu, 'cpu.max'), `${quotaUs} ${periodUs}`)
  } else {
    await writeFile(path.join(memory, 'memory.limit_in_bytes'), String(memoryBytes))
    await writeFile(path.join(cpu, 'cpu.cfs_period_us'), String(periodUs))
    await writeFile(path.join(cpu, 'cpu.cfs_quota_us'), quotaUs)
  }
  const owned = opened.move()
  return {
    script: (command) =>
      [
        '#!/bin/sh',
        ...[...new Set(folders)].map((folder) => `echo $$ > ${folder}/cgroup.procs`),
        `exec ${command} "$@"\n`,
      ].join('\n'),
    async kills() {
      const events = await readFile(
        path.join(memory, version === 2 ? 'memory.events' : 'memory.oom_control'),
        'utf8',
      )
      return Number(/^oom_kill (\d+)$/m.exec(events)?.[1])
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Under the groups that this process is in, so that theirs hold, too; under the top where version 2 lets only that have processes beside groups. */
function foldersOf(version: 1 | 2, name: string): string[] {
  if (version === 2) return [path.join(top, name), path.join(top, name)]
  const groups = readFileSync('/proc/self/cgroup', 'utf8').split('\n')
  return ['memory', 'cpu'].map((controller) => {
    const line = groups.find((group) => group.split(':')[1]?.split(',').includes(controller))
    return path.join(top, controller, line?.split(':')[2] ?? '', name)
  })
}

function versionHere(): 1 | 2 | undefined {
  const all = path.join(top, 'cgroup.controllers')
  if (existsSync(all)) return /\bcpu\b.*\bmemory\b/.test(readFileSync(all, 'utf8')) ? 2 : undefined
  return ['memory', 'cpu'].every((controller) => existsSync(path.join(top, controller, 'cgroup.procs')))
    ? 1
    : undefined
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false
    throw error
  }
}
