/** The options of the swarm benchmark's command line. */
import os from 'node:os'
import { parseArgs } from 'node:util'
import { OptionError } from '../options.ts'

export const usage = `npm run bench:swarm -- [options]

  --only NAME      measure this alone (repeatable): NAMES; 24x8 is 24 hosts at 8 Mbit/s
  --reps N         turns of each measurement (default 3)
  --scale X        multiply all sizes and pauses by this (default 1); smaller ones are for trying it
  --mbit N         speed of every shaped link, both ways (default 25; half of it with sixteen hosts)
  --hosts N        cold hosts of the herd (default 8)
  --plot [FILE]    draw the fan-out beside a central registry's (default file docs/fanout.svg)
  --json FILE      write all samples there
  --keep           leave the temporary folder, with the nodes' logs, and tell where it is
  --dir DIR        where the temporary folder is made (default the system's); its path must be short
`

export interface Options {
  /** Names of measurements; none means all. */
  only: string[]
  reps: number
  scale: number
  megabits: number
  cold: number
  plot: string | undefined
  json: string | undefined
  keepFolder: boolean
  dir: string
  help: boolean
}

/** Throws `OPTION_INVALID`. */
export function parseOptions(
  args: string[],
  names: readonly string[],
  defaults: { hosts?: string; mbit?: string } = {},
): Options {
  const values = parse(withFile(args), { hosts: '8', mbit: '25', ...defaults })
  const only = values.only ?? []
  const unknown = only.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new OptionError(`--only ${unknown}: expected one of ${names.join(', ')}`)
  const { plot, json, keep: keepFolder, dir, help } = values
  return {
    only,
    reps: count('reps', values.reps),
    scale: positive('scale', values.scale),
    megabits: positive('mbit', values.mbit),
    cold: count('hosts', values.hosts),
    plot,
    json,
    keepFolder,
    dir,
    help,
  }
}

/** `--plot` alone means the file that the documentation shows. */
function withFile(args: string[]): string[] {
  return args.flatMap((arg, index) => {
    const next = args[index + 1]
    const isAlone = arg === '--plot' && (next === undefined || next.startsWith('--'))
    return isAlone ? [arg, 'docs/fanout.svg'] : [arg]
  })
}

function parse(args: string[], { hosts, mbit }: { hosts: string; mbit: string }) {
  try {
    return parseArgs({
      args,
      options: {
        only: { type: 'string', multiple: true },
        reps: { type: 'string', default: '3' },
        scale: { type: 'string', default: '1' },
        mbit: { type: 'string', default: mbit },
        hosts: { type: 'string', default: hosts },
        plot: { type: 'string' },
        json: { type: 'string' },
        dir: { type: 'string', default: os.tmpdir() },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (cause) {
    throw new OptionError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function count(name: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new OptionError(`--${name} ${text}: expected a whole number of at least 1`)
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new OptionError(`--${name} ${text}: expected a number above 0`)
}
