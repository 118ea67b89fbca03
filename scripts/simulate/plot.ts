/** When how many hosts had everything, as an SVG: time over the bound of a single download, one line for each scenario. */
import type { Outcome } from './scenario.ts'

const width = 860
const height = 460
const plot = { left: 60, right: 560, top: 40, bottom: 410 }
const colours = ['#0b6e99', '#c2410c', '#4d7c0f', '#7e22ce', '#be123c', '#0f766e', '#a16207', '#1d4ed8']

export function completionPlot(outcomes: readonly Outcome[]): string {
  const longest = Math.max(2, ...outcomes.map(({ factors }) => factors.at(-1) ?? 0))
  const end = Math.ceil(longest * 2) / 2
  const x = (factor: number): number => plot.left + (factor / end) * (plot.right - plot.left)
  const y = (share: number): number => plot.bottom - share * (plot.bottom - plot.top)
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(plot.left, 24, 'Share of the hosts that have the whole blob', 'font-weight="600"'),
    text(
      (plot.left + plot.right) / 2,
      height - 14,
      'time ÷ (size ÷ bandwidth of the host’s link)',
      'text-anchor="middle"',
    ),
  ]
  for (let tick = 0; tick <= end; tick += end > 6 ? 1 : 0.5) {
    parts.push(line(x(tick), plot.top, x(tick), plot.bottom, '#e5e7eb'))
    parts.push(text(x(tick), plot.bottom + 18, String(tick), 'text-anchor="middle"'))
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    parts.push(line(plot.left, y(share), plot.right, y(share), '#e5e7eb'))
    parts.push(text(plot.left - 8, y(share) + 4, `${share * 100} %`, 'text-anchor="end"'))
  }
  parts.push(line(x(1), plot.top, x(1), plot.bottom, '#111827', 'stroke-dasharray="4 4"'))
  for (const [index, { name, factors }] of outcomes.entries()) {
    const colour = colours[index % colours.length] ?? '#000000'
    const dashes = index < colours.length ? '' : ' stroke-dasharray="6 3"'
    parts.push(
      `<path d="${stairs(factors, x, y)}" fill="none" stroke="${colour}" stroke-width="2"${dashes}/>`,
    )
    const at = plot.top + 8 + index * 22
    parts.push(`<path d="M${plot.right + 16} ${at}h20" stroke="${colour}" stroke-width="2"${dashes}/>`)
    parts.push(text(plot.right + 42, at + 4, name))
  }
  return `${[...parts, '</svg>'].join('\n')}\n`
}

/** Up to 200 points of the distribution. */
function stairs(
  factors: readonly number[],
  x: (factor: number) => number,
  y: (share: number) => number,
): string {
  const every = Math.max(1, Math.floor(factors.length / 200))
  const points = factors
    .map((factor, index): [number, number] => [factor, (index + 1) / factors.length])
    .filter((_, index) => index % every === 0 || index === factors.length - 1)
  const start = `M${x(0).toFixed(1)} ${y(0).toFixed(1)}`
  return start + points.map(([factor, share]) => `H${x(factor).toFixed(1)}V${y(share).toFixed(1)}`).join('')
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string, more = ''): string {
  const coordinates = `x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"`
  return `<line ${coordinates} stroke="${colour}" ${more}/>`
}

function text(x: number, y: number, content: string, more = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="#111827" ${more}>${escaped}</text>`
}
