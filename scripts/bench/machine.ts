/** What a reader must know of a run to compare it: machine, date, versions, command. */
import os from 'node:os'
import { runCommand } from './command.ts'
import type { Subject } from './subject.ts'

const tools: [string, string][] = [
  ['curl', '--version'],
  ['skopeo', '--version'],
  ['wrk', '--version'],
]

export async function describeRun(
  subjects: readonly Subject[],
  folder: string,
  { signal }: { signal: AbortSignal },
): Promise<string[]> {
  const cpus = os.cpus()
  const memory = `${Math.round(os.totalmem() / 2 ** 30)} GiB`
  const kind = await runCommand('df', ['--output=fstype', folder], { signal })
  const versions = subjects.map(async (subject) => `${subject.name} ${await subject.version({ signal })}`)
  const used = tools.map(([name, flag]) => versionOf(name, flag, signal))
  return [
    `date     ${new Date().toISOString()}`,
    `machine  ${cpus.length} × ${cpus[0]?.model ?? 'unknown processor'}, ${memory}, ${os.type()} ${os.release()}`,
    `disk     ${kind.stdout.trim().split('\n').at(-1)}`,
    `versions ${[...(await Promise.all(versions)), `node ${process.version}`, ...(await Promise.all(used))].join('; ')}`,
    `command  node scripts/bench/registry.ts ${process.argv.slice(2).join(' ')}`.trimEnd(),
  ]
}

/** wrk prints its version and its usage, and exits with 1, so the exit code says nothing here. */
async function versionOf(name: string, flag: string, signal: AbortSignal): Promise<string> {
  const { stdout } = await runCommand('sh', ['-c', `${name} ${flag} 2>&1; :`], { signal })
  return (
    stdout
      .split('\n')[0]
      ?.split(/ (?:\(|\[|commit|Copyright)/)[0]
      ?.trim() ?? name
  )
}
