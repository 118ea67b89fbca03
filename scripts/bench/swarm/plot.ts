/** The fan-out as a picture: what each client has over time, from the swarm and from a central registry. */
import type { Fanout } from './bench.ts'
import type { Curve } from './curves.ts'
import { leastMs } from './herd.ts'

const [width, height] = [760, 380]
const [left, right, top, bottom] = [56, 20, 44, 46]

export function drawFanout({ bytes, megabits, swarm, central }: Fanout): string {
  const ends = [...swarm, ...central].map((curve) => curve.at(-1)?.atMs ?? 0)
  const endMs = Math.max(...ends)
  const x = (ms: number): number => left + (ms / endMs) * (width - left - right)
  const y = (count: number): number => height - bottom - (count / bytes) * (height - top - bottom)
  const line = (curve: Curve): string =>
    curve.map(({ atMs, bytes: count }) => `${x(atMs).toFixed(1)},${y(count).toFixed(1)}`).join(' ')
  const lines = (curves: readonly Curve[], name: string): string[] =>
    curves.map((curve) => `<polyline class="${name}" points="${line(curve)}"/>`)
  const mebibytes = bytes / 2 ** 20
  const seconds = endMs / 1000
  const least = leastMs(bytes, megabits)
  const title = `${swarm.length} cold hosts pull ${mebibytes.toFixed(0)} MiB at once, every link ${megabits} Mbit/s`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">`,
    `<style>${style}</style>`,
    `<text class="title" x="${left}" y="20">${title}</text>`,
    ...ticks(mebibytes).map(
      (value) =>
        `<line class="grid" x1="${left}" x2="${width - right}" y1="${y(value * 2 ** 20).toFixed(1)}" y2="${y(value * 2 ** 20).toFixed(1)}"/><text class="end" x="${left - 8}" y="${(y(value * 2 ** 20) + 4).toFixed(1)}">${value}</text>`,
    ),
    ...ticks(seconds).map(
      (value) =>
        `<text class="middle" x="${x(value * 1000).toFixed(1)}" y="${height - bottom + 18}">${value}</text>`,
    ),
    `<text class="middle" x="${(left + width - right) / 2}" y="${height - 8}">seconds</text>`,
    `<text x="8" y="${top - 8}">MiB at the client</text>`,
    `<line class="least" x1="${x(least).toFixed(1)}" x2="${x(least).toFixed(1)}" y1="${top}" y2="${height - bottom}"/>`,
    `<text class="end" x="${(x(least) - 6).toFixed(1)}" y="${top - 8}"></text>`,
    `<text class="small" x="${(x(least) + 5).toFixed(1)}" y="${height - bottom - 6}">one copy over one link</text>`,
    ...lines(central, 'central'),
    ...lines(swarm, 'swarm'),
    ...legend('swarm', 'Shoal', width - 250),
    ...legend('central', 'central registry', width - 160),
    '</svg>',
    '',
  ].join('\n')
}

const style = [
  'text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-size:14px;font-weight:600}.small{font-size:11px}',
  '.end{text-anchor:end}.middle{text-anchor:middle}.grid{stroke:#8c959f;stroke-opacity:.3}',
  '.least{stroke:#8c959f;stroke-dasharray:4 4}polyline{fill:none;stroke-width:1.6}',
  '.swarm{stroke:#0e8a7d}.central{stroke:#d1622b}',
  '@media(prefers-color-scheme:dark){text{fill:#9da7b1}.swarm{stroke:#3fc7b7}.central{stroke:#f0884d}}',
].join('')

function legend(name: string, text: string, x: number): string[] {
  const points = `${x},${top - 12} ${x + 22},${top - 12}`
  return [
    `<polyline class="${name}" points="${points}"/>`,
    `<text x="${x + 28}" y="${top - 8}">${text}</text>`,
  ]
}

/** About six round values from 0 to `end`. */
function ticks(end: number): number[] {
  const rough = end / 6
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 4, 5, 8, 10].map((factor) => factor * power).find((value) => value >= rough) ?? rough
  const values: number[] = []
  for (let value = 0; value <= end * 1.0001; value += step) values.push(Number(value.toPrecision(6)))
  return values
}
