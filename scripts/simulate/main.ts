/** `npm run simulate`: swarms in virtual time, as a table, and with `--plot` as docs/simulation.svg. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { completionPlot } from './plot.ts'
import type { Outcome } from './scenario.ts'
import { groups, scenarios } from './scenarios.ts'
import { simulate } from './simulation.ts'
import { tableHead, tableRow } from './table.ts'

const plotPath = join(import.meta.dirname, '../../docs/simulation.svg')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { plot: { type: 'boolean' }, seed: { type: 'string', default: '1' } },
})
const wanted = positionals.length === 0 ? ['small', 'thousand'] : positionals
const unknown = wanted.filter((name) => !groups.some((group) => group === name))
const seed = Number(values.seed)
if (unknown.length > 0 || !Number.isSafeInteger(seed)) {
  process.stderr.write(
    `unknown: ${unknown.join(', ') || `--seed ${values.seed}`}; expected ${groups.join(', ')}, and --seed NUMBER, --plot\n`,
  )
  process.exit(2)
}

const outcomes: Outcome[] = []
process.stdout.write(`${tableHead()}\n`)
for (const { group, ...scenario } of scenarios) {
  if (!wanted.includes(group)) continue
  const outcome = simulate({ ...scenario, seed })
  outcomes.push(outcome)
  process.stdout.write(`${tableRow(outcome)}\n`)
  process.stderr.write(
    `${scenario.name}: ${outcome.events} events, ${outcome.cpuSeconds.toFixed(1)} s of CPU\n`,
  )
  // After each, because thousands of hosts take minutes.
  if (values.plot === true) writeFileSync(plotPath, completionPlot(outcomes))
}
