/** `npm run simulate`: swarms in virtual time, as a table, and with `--plot` as docs/simulation.svg. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { completionPlot } from './plot.ts'
import type { Outcome } from './scenario.ts'
import { type Group, groups, scenarios } from './scenarios.ts'
import { simulate } from './simulation.ts'
import { tableOf } from './table.ts'

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
for (const { group, ...scenario } of scenarios) {
  if (!wanted.includes(group satisfies Group)) continue
  outcomes.push(simulate({ ...scenario, seed }))
  process.stderr.write(`${scenario.name}: ${outcomes.at(-1)?.cpuSeconds.toFixed(1)} s\n`)
}
process.stdout.write(`${tableOf(outcomes)}\n`)
if (values.plot === true) {
  const path = join(import.meta.dirname, '../../docs/simulation.svg')
  writeFileSync(path, completionPlot(outcomes))
  process.stderr.write(`wrote ${path}\n`)
}
