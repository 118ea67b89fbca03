/** The options of `npm run soak`. */
import { parseArgs } from 'node:util'
import { type FaultKind, faultKinds } from './plan.ts'

export interface SoakOptions {
  minutes: number
  seed: number
  nodes: number
  kinds: readonly FaultKind[]
  tasksPerSecond: number
  /** Where what a violation is explained with is kept; a new temporary folder without it. */
  artefacts: string | undefined
  keepGoing: boolean
  /** The round to begin with. */
  from: number
}

export const usage = `npm run soak -- [options]

  --minutes N        how long; no round begins that would not end in that time (default 10)
  --seed N           decides what happens and when (default by chance; it is printed)
  --nodes N          2 to 20 (default 5)
  --faults KIND,…    only these: ${faultKinds.join(', ')}; none for a quiet run
  --rate N           operations per second (default 3)
  --artefacts DIR    where logs and the list of calls go (default a new temporary folder, kept after a violation)
  --from N           begin with that round, to come to what a later one does sooner (default 0)
  --keep-going       do not end after the first round with a violation
`

/** What is wrong with the arguments, where something is; `help` when that is asked for. */
export function parseOptions(args: string[]): SoakOptions | { wrong: string } | 'help' {
  try {
    const { values } = parseArgs({
      args,
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
        nodes: { type: 'string', default: '5' },
        faults: { type: 'string', default: faultKinds.join(',') },
        rate: { type: 'string', default: '3' },
        artefacts: { type: 'string' },
        from: { type: 'string', default: '0' },
        'keep-going': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) return 'help'
    return {
      minutes: count('minutes', values.minutes, 1, 100_000),
      seed: count('seed', values.seed, 0, 2 ** 32 - 1),
      nodes: count('nodes', values.nodes, 2, 20),
      kinds: kindsOf(values.faults),
      tasksPerSecond: count('rate', values.rate, 1, 100),
      artefacts: values.artefacts,
      keepGoing: values['keep-going'],
      from: count('from', values.from, 0, 100_000),
    }
  } catch (error) {
    return { wrong: error instanceof Error ? error.message : String(error) }
  }
}

function count(name: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw new Error(`--${name} ${text}: expected a whole number from ${least} to ${most}`)
}

function kindsOf(text: string): FaultKind[] {
  if (text === 'none') return []
  return text.split(',').map((word) => {
    const kind = faultKinds.find((known) => known === word)
    if (kind === undefined)
      throw new Error(`--faults ${word}: expected some of ${faultKinds.join(',')}, or none`)
    return kind
  })
}
