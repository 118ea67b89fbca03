/** How commands print: sizes, times, tables and colours, plain wherever no person looks. */
import { stripVTControlCharacters, styleText } from 'node:util'

export { formatBytes } from '../../src/base/base.ts'

export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

const durationSteps: [unit: string, ms: number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
]

/** Such as `3 h`, in the largest unit of which there is one. */
export function formatAge(ms: number): string {
  const [unit, length] = durationSteps.find(([, size]) => ms >= size) ?? ['s', 1_000]
  return `${Math.max(0, Math.floor(ms / length))} ${unit}`
}

/** Its two largest units, such as `3 d 4 h`. */
export function formatDuration(ms: number): string {
  const first = durationSteps.findIndex(([, length]) => ms >= length)
  if (first < 0) return '0 s'
  let rest = ms
  const parts = durationSteps.slice(first, first + 2).map(([unit, length]) => {
    const count = Math.floor(rest / length)
    rest -= count * length
    return { count, unit }
  })
  return parts
    .filter(({ count }) => count > 0)
    .map(({ count, unit }) => `${count} ${unit}`)
    .join(' ')
}

/** `1 blob`, `2 blobs`; a word whose plural is not made with an s says it. */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

/** Columns as wide as their widest cell, two spaces apart. Colours take no room. */
export function formatTable(rows: string[][]): string {
  const widths = rows.reduce<number[]>(
    (all, row) => row.map((cell, index) => Math.max(widthOf(cell), all[index] ?? 0)),
    [],
  )
  return rows
    .map((row) => {
      const cells = row.map((cell, index) => cell + ' '.repeat((widths[index] ?? 0) - widthOf(cell)))
      return `${cells.join('  ').trimEnd()}\n`
    })
    .join('')
}

export function widthOf(text: string): number {
  return stripVTControlCharacters(text).length
}

/** Cut to `width` with an ellipsis; the text has no colours. */
export function truncate(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`
}

/** Broken between words; a word that is longer than `width` stands alone. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** Without what a terminal would obey: names and labels are what strangers wrote. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?')
}

/** Colour only where a terminal shows it; NO_COLOR turns it off, FORCE_COLOR on. */
type Style = (text: string) => string
const style =
  (format: Parameters<typeof styleText>[0]): Style =>
  (text) =>
    styleText(format, text, { stream: process.stdout })

export const bold = style('bold')
export const dim = style('dim')
export const red = style('red')
export const yellow = style('yellow')
export const green = style('green')

export function print(text: string): void {
  process.stdout.write(text)
}

export function printJson(value: unknown): void {
  print(`${JSON.stringify(value, null, 2)}\n`)
}
