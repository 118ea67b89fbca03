/** The options of the benchmark's command line. */
import os from 'node:os'
import { parseArgs } from 'node:util'
import { CodedError } from '../../src/base/base.ts'
import { defaultShoal } from './shoal.ts'

export class OptionError extends CodedError {
  readonly code = 'OPTION_INVALID'
}

export interface Options {
  /** Names of measurements; without any, the one that is beside docker-registry in everything. */
  only: string[]
  all: boolean
  reps: number
  blobMiB: number
  seconds: number
  tags: number
  dir: string
  shoal: string
  json: string | undefined
  filled: string | undefined
  help: boolean
}

export const usage = `npm run bench -- [options]

  --only NAME      measure this alone (repeatable, default side): NAMES
  --all            measure all of them, which takes more than half an hour
  --reps N         turns of each measurement (default 3)
  --mib N          size of the large blob in MiB, at least 64 (default 1024)
  --seconds N      length of one load of small requests (default 4)
  --tags N         tags in the full store of "start", with ten blobs each (default 100000)
  --filled DIR     keep that full store in DIR, and use it when it is there
  --dir DIR        where the temporary folder is made (default the system's)
  --json FILE      write all samples there
  --shoal FILE     the Shoal command to measure (default this checkout's)
`

/** Throws `OPTION_INVALID`. */
export function parseOptions(args: string[], names: readonly string[]): Options {
  const values = parse(args)
  const only = values.only ?? []
  for (const name of only) {
    if (!names.includes(name)) throw new OptionError(`--only ${name}: expected one of ${names.join(', ')}`)
  }
  return {
    only,
    all: values.all,
    reps: count('reps', values.reps, 1),
    blobMiB: count('mib', values.mib, 64),
    seconds: count('seconds', values.seconds, 1),
    tags: count('tags', values.tags, 1),
    dir: values.dir,
    shoal: values.shoal,
    json: values.json,
    filled: values.filled,
    help: values.help,
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        only: { type: 'string', multiple: true },
        all: { type: 'boolean', default: false },
        reps: { type: 'string', default: '3' },
        mib: { type: 'string', default: '1024' },
        seconds: { type: 'string', default: '4' },
        tags: { type: 'string', default: '100000' },
        dir: { type: 'string', default: os.tmpdir() },
        shoal: { type: 'string', default: defaultShoal },
        json: { type: 'string' },
        filled: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (cause) {
    throw new OptionError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function count(name: string, text: string, least: number): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new OptionError(`--${name} ${text}: expected a whole number of at least ${least}`)
}
