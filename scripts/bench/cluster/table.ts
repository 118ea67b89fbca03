/** The figures as text that is also Markdown. */
import type { Figure } from './bench.ts'

export function renderFigures(figures: readonly Figure[]): string {
  const rows = figures.map(({ what, unit, value, atMost }) => [
    what,
    `${decimals(value)} ${unit}`.trim(),
    atMost === undefined ? '' : `≤ ${atMost} ${unit}`.trim(),
    atMost === undefined ? '' : value <= atMost ? 'ok' : 'missed',
  ])
  const all = [['measurement', 'Shoal', 'reach', ''], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(3, ...all.map((row) => row[column]?.length ?? 0)))
  const line = (cells: string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  const [head = [], ...rest] = all
  return [line(head), rule, ...rest.map(line)].join('\n')
}

function decimals(value: number): string {
  return Number.isInteger(value) || value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2)
}
