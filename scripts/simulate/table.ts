/** Outcomes as a Markdown table, row by row. */
import type { Outcome } from './scenario.ts'

const columns: [string, (outcome: Outcome) => string][] = [
  ['scenario', ({ name }) => name],
  ['finished', ({ finished, expected }) => `${finished} of ${expected}`],
  ['slowest ×', ({ slowest }) => slowest.toFixed(2)],
  ['median ×', ({ median }) => median.toFixed(2)],
  ['late host ×', ({ lateFactor }) => lateFactor?.toFixed(2) ?? ''],
  ["holder's copies", ({ holderCopies }) => holderCopies.toFixed(2)],
  [
    'copies into a site, mean (most)',
    ({ copiesPerSite }) =>
      copiesPerSite === undefined
        ? ''
        : `${copiesPerSite.mean.toFixed(2)} (${copiesPerSite.most.toFixed(2)})`,
  ],
  ['arrived for nothing', ({ wasted }) => `${(wasted * 100).toFixed(1)} %`],
  ['messages per node', ({ messagesPerHost }) => Math.round(messagesPerHost).toLocaleString('en')],
]

const line = (cells: string[]): string => `| ${cells.join(' | ')} |`

export function tableHead(): string {
  return `${line(columns.map(([title]) => title))}\n${line(columns.map(() => '---'))}`
}

export function tableRow(outcome: Outcome): string {
  return line(columns.map(([, cell]) => cell(outcome)))
}
