/** Lines over time, drawn by uPlot, with a legend that tells the values where one points. The same stands beside it in words. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type uPlot from 'uplot'
import type { Lines } from '../hour.ts'

export interface LineChartProps {
  /** What it shows, such as `Read by clients, a second`. */
  title: string
  lines: Lines
  /** In the order of the lines. `kind` names the colour in the style sheet. */
  series: { kind: string; label: string }[]
  format(value: number): string
  /** How far its horizontal lines may be apart. */
  steps: number[]
}

type Plot = typeof uPlot

const height = 170
/** A chart of a node that has just begun is not stretched beyond what it knows. */
const leastSeconds = 600
const dashes = [[], [7, 3], [2, 3], [8, 3, 2, 3]]

export function LineChart({ title, lines, series, format, steps }: LineChartProps) {
  const figure = useRef<HTMLElement>(null)
  const [pointed, setPointed] = useState<number>()
  const [plot, setPlot] = useState<Plot>()
  const chart = useRef<uPlot>(undefined)
  const times = useRef(lines.times)
  times.current = lines.times
  useEffect(() => {
    let isGone = false
    void import('uplot').then(({ default: loaded }) => {
      if (!isGone) setPlot(() => loaded)
    })
    return () => {
      isGone = true
    }
  }, [])
  useEffect(() => {
    const at = figure.current
    if (plot === undefined || at === null) return
    const draw = () => {
      chart.current?.destroy()
      chart.current = new plot(
        optionsOf(at, { point: setPointed, spanOf: () => spanOf(times.current), format, steps }),
        dataOf(lines),
        place(at),
      )
    }
    draw()
    const dark = window.matchMedia('(prefers-color-scheme: dark)')
    const sized = new ResizeObserver(() => chart.current?.setSize({ width: at.clientWidth, height }))
    sized.observe(at)
    dark.addEventListener('change', draw)
    return () => {
      sized.disconnect()
      dark.removeEventListener('change', draw)
      chart.current?.destroy()
    }
  }, [plot])
  useEffect(() => chart.current?.setData(dataOf(lines)), [lines])
  const last = lines.times.length - 1
  const shown = pointed === undefined || pointed > last ? undefined : pointed
  return (
    <figure class="chart" ref={figure}>
      <figcaption>
        <strong>{title}</strong>
        <ul class="legend">
          {series.map(({ kind, label }, index) => (
            <li key={kind} class={`line ${kind}`}>
              {label}
              {shown !== undefined && (
                <span class="number"> {format(lines.values[index]?.[shown] ?? 0)}</span>
              )}
            </li>
          ))}
          {shown !== undefined && <li class="quiet number">{clockOf(lines.times[shown] ?? 0)}</li>}
        </ul>
      </figcaption>
      <div class="plot" aria-hidden="true" />
    </figure>
  )
}

function place(figure: HTMLElement): HTMLElement {
  return figure.querySelector<HTMLElement>('.plot') ?? figure
}

function dataOf({ times, values }: Lines): uPlot.AlignedData {
  return [times, ...values]
}

function optionsOf(
  figure: HTMLElement,
  {
    point,
    spanOf,
    format,
    steps,
  }: {
    point: (index: number | undefined) => void
    spanOf: () => [from: number, to: number]
    format: (value: number) => string
    steps: number[]
  },
): uPlot.Options {
  // A canvas knows no variables: the legend has each colour as the reader's colour scheme makes it.
  const colours = [...figure.querySelectorAll('.legend .line')].map((line) =>
    getComputedStyle(line, '::before'),
  )
  const { color: text, borderTopColor: grid } = getComputedStyle(figure)
  const font = `12px ${getComputedStyle(figure).fontFamily}`
  const axis: uPlot.Axis = {
    stroke: text,
    font,
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 },
  }
  return {
    width: figure.clientWidth,
    height,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: {
      x: { range: spanOf },
      // From nothing upwards, and not flat where there is nothing.
      y: { range: (_plot, _from, to) => [0, (to ?? 0) > 0 ? (to ?? 0) * 1.1 : 1] },
    },
    axes: [
      { ...axis, values: (_plot, times) => times.map(clockOf) },
      { ...axis, size: 78, incrs: steps, values: (_plot, values) => values.map(format) },
    ],
    series: [
      {},
      ...colours.map(({ backgroundColor }, index) => ({
        stroke: backgroundColor,
        width: 2,
        dash: dashes[index] ?? [],
        points: { size: 5 },
      })),
    ],
    hooks: { setCursor: [({ cursor: { idx } }) => point(idx ?? undefined)] },
  }
}

/** In seconds; of a node that has just begun longer than what it knows. */
function spanOf(times: readonly number[]): [from: number, to: number] {
  const to = times.at(-1) ?? Date.now() / 1000
  return [Math.min(times[0] ?? to, to - leastSeconds), to]
}

function clockOf(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
}
