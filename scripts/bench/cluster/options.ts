/** The options of the cluster benchmark's command line. */
import os from 'node:os'
import { parseArgs } from 'node:util'
import { duration } from '../../../node/settings/kinds.ts'
import { OptionError } from '../options.ts'

export const usage = `npm run bench:cluster -- [options]

  --only NAME      measure this alone (repeatable): NAMES
  --nodes N        how many nodes the cluster has (default 8)
  --cut TIME       how long the partition lasts (default 60s)
  --changes N      tags that change while a node is away (default 10000)
  --names N        tags that a new node finds (default 100000)
  --thrown N       records that the thrower throws (default 100000)
  --idle TIME      how long the idle cluster is watched (default 30s)
  --dir DIR        where the temporary folder is made (default the system's)
`

/** Throws `OPTION_INVALID`. */
export function parseOptions(args: string[], names: readonly string[]) {
  const { values } = parse(args)
  const only = values.only ?? []
  const unknown = only.find((name) => !names.includes(name))
  if (unknown !== undefined) throw new OptionError(`--only ${unknown}: expected one of ${names.join(', ')}`)
  return {
    only,
    help: values.help,
    dir: values.dir,
    size: count('nodes', values.nodes, 2),
    changes: count('changes', values.changes, 1),
    names: count('names', values.names, 1),
    thrown: count('thrown', values.thrown, 1),
    cutMs: time('cut', values.cut),
    idleMs: time('idle', values.idle),
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        only: { type: 'string', multiple: true },
        nodes: { type: 'string', default: '8' },
        cut: { type: 'string', default: '60s' },
        changes: { type: 'string', default: '10000' },
        names: { type: 'string', default: '100000' },
        thrown: { type: 'string', default: '100000' },
        idle: { type: 'string', default: '30s' },
        dir: { type: 'string', default: os.tmpdir() },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (cause) {
    throw new OptionError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function count(name: string, text: string, least: number): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new OptionError(`--${name} ${text}: expected a whole number of at least ${least}`)
}

function time(name: string, text: string): number {
  try {
    return duration(text)
  } catch (cause) {
    throw new OptionError(`--${name} ${text}: expected ${(cause as Error).message}`, { cause })
  }
}
