/** The table as text that is also Markdown. */
import { judge, type Line, type Reach } from './line.ts'

const heads = ['measurement', 'unit', 'Shoal', 'reference', 'ratio', 'turns', 'reach', '']

export function renderTable(lines: readonly Line[]): string {
  const rows = [heads, ...lines.map(cells)]
  const widths = heads.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)))
  const texts = rows.map((row) => `| ${row.map((cell, column) => pad(cell, column, widths)).join(' | ')} |`)
  const rule = `| ${widths.map((width, column) => (isText(column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [texts[0], rule, ...texts.slice(1)].join('\n')
}

function cells(line: Line): string[] {
  const { shoal, reference, ratio, range, verdict } = judge(line)
  const turns = range === undefined ? '' : `${decimals(range[0])}–${decimals(range[1])}`
  const values = [figure(shoal), figure(reference), decimals(ratio), turns]
  return [line.what, line.unit, ...values, reachText(line.reach, line.unit), verdict]
}

function reachText(reach: Reach, unit: Line['unit']): string {
  switch (reach.kind) {
    case 'ratio':
      return `≥ ${reach.atLeast}×`
    case 'ratio at most':
      return `≤ ${reach.times}×`
    case 'value':
      return unit === '×' ? `< ${reach.under}×` : `< ${reach.under} ${unit}`
    case 'none':
      return ''
  }
}

function figure(value: number | undefined): string {
  if (value === undefined) return ''
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

function decimals(value: number | undefined): string {
  return value === undefined ? '' : value.toFixed(2)
}

function isText(column: number): boolean {
  return column < 2 || column > 5
}

function pad(cell: string, column: number, widths: readonly number[]): string {
  const width = widths[column] ?? 0
  return isText(column) ? cell.padEnd(width) : cell.padStart(width)
}
