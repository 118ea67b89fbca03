/** `npm run simulate`: swarms in virtual time, as a table, with `--write` in docs/simulation.md, with `--plot` as docs/simulation.svg. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { completionPlot } from './plot.ts'
import type { Outcome } from './scenario.ts'
import { groups, scenarios } from './scenarios.ts'
import { simulate } from './simulation.ts'
import { tableHead, tableRow } from './table.ts'

const plotPath = join(import.meta.dirname, '../../docs/simulation.svg')
const pagePath = join(import.meta.dirname, '../../docs/simulation.md')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { plot: { type: 'boolean' }, write: { type: 'boolean' }, seed: { type: 'string', default: '1' } },
})
const wanted = positionals.length === 0 ? ['links', 'small', 'thousand'] : positionals
const unknown = wanted.filter((name) => !groups.some((group) => group === name))
const seed = Number(values.seed)
if (unknown.length > 0 || !Number.isSafeInteger(seed)) {
  process.stderr.write(
    `unknown: ${unknown.join(', ') || `--seed ${values.seed}`}; expected ${groups.join(', ')}, and --seed NUMBER, --plot, --write\n`,
  )
  process.exit(2)
}

/** Replaces the group's table on the page. */
function write(group: string, rows: readonly Outcome[]): void {
  const page = readFileSync(pagePath, 'utf8')
  const table = new RegExp(`(<!-- ${group}: .*-->\n\n)(?:\\|.*\n)*`)
  if (!table.test(page)) throw new Error(`docs/simulation.md has no place for ${group}: <!-- ${group}: … -->`)
  const text = `${tableHead()}\n${rows.map((row) => `${tableRow(row)}\n`).join('')}`
  writeFileSync(
    pagePath,
    page.replace(table, (_, head: string) => head + text),
  )
}

const outcomes: Outcome[] = []
const byGroup = new Map<string, Outcome[]>()
process.stdout.write(`${tableHead()}\n`)
for (const { group, ...scenario } of scenarios) {
  if (!wanted.includes(group)) continue
  const outcome = simulate({ ...scenario, seed })
  outcomes.push(outcome)
  const rows = [...(byGroup.get(group) ?? []), outcome]
  byGroup.set(group, rows)
  if (values.write === true) write(group, rows)
  process.stdout.write(`${tableRow(outcome)}\n`)
  process.stderr.write(
    `${scenario.name}: ${outcome.events} events, ${outcome.cpuSeconds.toFixed(1)} s of CPU\n`,
  )
  // After each, because thousands of hosts take minutes.
  if (values.plot === true) writeFileSync(plotPath, completionPlot(outcomes))
}
