/** The figures as text that is also Markdown. */
import { median } from '../statistics.ts'
import type { Figure, Reach, RegimeCell, RegimeRow } from './bench.ts'

const heads = ['what', 'reach', 'measured', 'turns', '']

const regimeHeads = [
  'hosts',
  'link, Mbit/s',
  'MiB',
  'slowest ×',
  "seeder's copies",
  'CPU ms per MiB and host',
  'central ×',
]

export function renderFigures(figures: readonly Figure[]): string {
  return render(heads, figures.map(cells))
}

/** Medians, with what is to be reached where it is missed. */
export function renderRegimes(regimes: readonly RegimeRow[]): string {
  const rows = regimes.map(({ hosts, megabits, mebibytes, slowest, copies, cpuMs, central }) => [
    ...[hosts, megabits, mebibytes].map(String),
    ...[slowest, copies, cpuMs, central].map(regimeText),
  ])
  return render(regimeHeads, rows)
}

function regimeText(cell: RegimeCell | undefined): string {
  if (cell === undefined) return ''
  const measured = median(cell.values)
  const isMissed = verdict(measured, cell.reach) === 'missed'
  return isMissed ? `${decimals(measured)} (${reachText(cell.reach, '').trim()})` : decimals(measured)
}

function render(heads: readonly string[], body: string[][]): string {
  const rows = [[...heads], ...body]
  const widths = heads.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  const [head = [], ...rest] = rows
  return [line(head), rule, ...rest.map(line)].join('\n')
}

function cells({ what, unit, values, reach }: Figure): string[] {
  const measured = median(values)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const turns = values.length > 1 ? `${decimals(low)}–${decimals(high)}` : ''
  return [what, reachText(reach, unit), `${decimals(measured)} ${unit}`, turns, verdict(measured, reach)]
}

function reachText(reach: Reach | undefined, unit: string): string {
  if (reach === undefined) return ''
  return 'atMost' in reach ? `≤ ${reach.atMost} ${unit}` : `≥ ${reach.atLeast} ${unit}`
}

function verdict(value: number, reach: Reach | undefined): string {
  if (reach === undefined) return ''
  return ('atMost' in reach ? value <= reach.atMost : value >= reach.atLeast) ? 'ok' : 'missed'
}

function decimals(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
