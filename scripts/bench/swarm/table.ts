/** The figures as text that is also Markdown. */
import { median } from '../statistics.ts'
import type { Figure, Reach } from './bench.ts'

const heads = ['what', 'reach', 'measured', 'turns', '']

export function renderFigures(figures: readonly Figure[]): string {
  const rows = [heads, ...figures.map(cells)]
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
