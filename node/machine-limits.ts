/**
 * What of this machine the process may use: what its control groups leave of it (cgroups(7)), of version 1 and 2. Node asks them for the
 * memory, of which it makes only the heap's limit, and finds the processors of version 1 under some names of its folders only.
 */
import { readFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'

export interface MachineLimits {
  /** May be less than one. */
  processors: number
  memoryBytes: number
}

/** Where a hierarchy of groups is mounted, and which group of it is seen there. */
interface Mount {
  group: string
  folder: string
  /** `undefined` for version 2, which has all of them. */
  controllers: string[] | undefined
}

/** `root` is where `/proc` and `/sys` are looked for. What cannot be read limits nothing. */
export function readMachineLimits({
  root = '/',
  machine = { processors: availableParallelism(), memoryBytes: totalmem() },
}: {
  root?: string
  machine?: MachineLimits
} = {}): MachineLimits {
  const mounts = read(join(root, 'proc/self/mountinfo')).split('\n').flatMap(mountOf)
  const limits = { ...machine }
  for (const line of read(join(root, 'proc/self/cgroup')).split('\n')) {
    const [, id, names = '', group = ''] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? []
    if (id === undefined) continue
    const controllers = id === '0' ? undefined : names.split(',')
    const mount = mounts.find((other) =>
      controllers === undefined
        ? other.controllers === undefined
        : controllers.some((name) => other.controllers?.includes(name)),
    )
    for (const folder of mount === undefined ? [] : foldersOf(group, mount)) {
      const at = (name: string): string => read(join(root, folder, name))
      limits.memoryBytes = Math.min(limits.memoryBytes, ...memoryLimits(at, controllers))
      limits.processors = Math.min(limits.processors, ...processorLimits(at, controllers))
    }
  }
  return limits
}

/** A line of /proc/PID/mountinfo: `36 35 0:28 ROOT FOLDER OPTIONS … - TYPE SOURCE CONTROLLERS`. */
function mountOf(line: string): Mount[] {
  const [, group, folder, type, options = ''] =
    /^\d+ \d+ \S+ (\/\S*) (\/\S*) .*? - (cgroup2?) \S+ (\S+)$/.exec(line) ?? []
  if (group === undefined || folder === undefined) return []
  const controllers = type === 'cgroup2' ? undefined : options.split(',')
  return [{ group: unescaped(group), folder: unescaped(folder), controllers }]
}

/** Spaces in paths stand there as octal numbers. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

/** Of a group and those around it, each of which limits it. In a container its own may be all that is to be seen, as the root. */
function foldersOf(group: string, mount: Mount): string[] {
  const inside =
    mount.group === '/'
      ? group
      : group === mount.group || group.startsWith(`${mount.group}/`)
        ? group.slice(mount.group.length)
        : ''
  const names = inside.split('/').filter((name) => name !== '')
  if (names.includes('..')) return [mount.folder]
  return Array.from({ length: names.length + 1 }, (_, depth) => join(mount.folder, ...names.slice(0, depth)))
}

function memoryLimits(at: (name: string) => string, controllers: string[] | undefined): number[] {
  if (controllers === undefined) return [...bytesIn(at('memory.max')), ...bytesIn(at('memory.high'))]
  return controllers.includes('memory') ? bytesIn(at('memory.limit_in_bytes')) : []
}

function processorLimits(at: (name: string) => string, controllers: string[] | undefined): number[] {
  const [quota = '', period = ''] =
    controllers === undefined
      ? at('cpu.max').split(' ')
      : controllers.includes('cpu')
        ? [at('cpu.cfs_quota_us'), at('cpu.cfs_period_us')]
        : []
  const [us, ofUs] = [...bytesIn(quota), ...bytesIn(period)]
  return us === undefined || ofUs === undefined ? [] : [us / ofUs]
}

/** Neither `max` nor `-1`, which stand for no limit. */
function bytesIn(text: string): number[] {
  return /^[1-9]\d{0,19}$/.test(text) ? [Number(text)] : []
}

/** What is not there, or not for this user, is empty. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1').trim()
  } catch (error) {
    if (error instanceof Error && 'code' in error) return ''
    throw error
  }
}
