/** A machine with systemd as its first process: this one's files under an overlay, this one's network, nothing running. */
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir } from 'node:fs/promises'
import path from 'node:path'
import { until } from '../swarm/fixture.ts'
import { type RunResult, run } from './command.ts'
import { startDaemon } from './process.ts'
import { openScratchFolder } from './scratch-folder.ts'

export const systemdNeeds = ['linux', 'root', 'unshare', 'nsenter', 'pivot_root', 'mount', 'systemctl']

export interface SystemdMachine extends AsyncDisposable {
  readonly name: string
  /** What its services wrote. */
  output(): string
  /** The path, from outside, of a file in it. */
  at(file: string): string
  run(program: string, ...args: string[]): Promise<RunResult>
}

export async function openSystemdMachine(): Promise<SystemdMachine> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await openScratchFolder())
  const group = await openControlGroup()
  cleanup.defer(async () => await removeFolders(group))
  // The group is entered before the namespace is made, so that the machine sees no group of this one.
  const enter = `echo $$ >'${group}/cgroup.procs' && exec "$@"`
  const namespaces = ['--mount', '--pid', '--ipc', '--uts', '--cgroup', '--fork', '--kill-child']
  const boot = ['unshare', ...namespaces, path.join(import.meta.dirname, 'systemd-boot.sh'), folder.path]
  const daemon = cleanup.use(
    await startDaemon('systemd', 'sh', ['-c', enter, 'sh', ...boot], { ready: /^pid \d+$/m }),
  )
  const pid = /^pid (\d+)$/m.exec(daemon.output())?.[1] ?? ''
  const inside = ['--target', pid, '--mount', '--pid', '--ipc', '--uts', '--cgroup', '--root', '--wd']
  const runInside = async (program: string, ...args: string[]) =>
    await run('nsenter', [...inside, program, ...args])
  await until('systemd to be up', async () => await isUp(runInside), 30_000)
  const at = (file: string): string => path.join('/proc', pid, 'root', file)
  const log = at('/run/services.log')
  const owned = cleanup.move()
  return {
    name: daemon.name,
    output: () => (existsSync(log) ? readFileSync(log, 'utf8') : daemon.output()),
    at,
    run: runInside,
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

async function isUp(runInside: SystemdMachine['run']): Promise<boolean> {
  try {
    return (await runInside('systemctl', 'is-active', 'idle.target')).stdout === 'active\n'
  } catch (error) {
    // It does not listen yet, or has not got that far.
    if (
      error instanceof Error &&
      /Failed to connect|inactive|No such file|not been booted/.test(error.message)
    )
      return false
    throw error
  }
}

async function openControlGroup(): Promise<string> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '))
  const [, root] = mounts.find(([, , type]) => type === 'cgroup2') ?? []
  if (root === undefined) throw new Error('no hierarchy of control groups, version 2, is mounted')
  const group = path.join(root, `shoal-test-${process.pid}`)
  await mkdir(group, { recursive: true })
  return group
}

/** A control group goes when the groups in it are gone; its files go with it. */
async function removeFolders(group: string): Promise<void> {
  const entries = await readdir(group, { withFileTypes: true })
  for (const entry of entries) if (entry.isDirectory()) await removeFolders(path.join(group, entry.name))
  await until(
    `${group} to be empty`,
    async () => (await readFile(path.join(group, 'cgroup.procs'), 'utf8')) === '',
  )
  await rmdir(group)
}
