/** The help of a command, laid out from its declaration. */

import { wrap } from '../screen/output.ts'
import { flagsOfSettings } from '../settings/settings.ts'
import type { Declaration, Flag, Flags } from './command.ts'

const leftColumn = 26
const screenWidth = 120

export function renderHelp<F extends Flags>({
  usage,
  about,
  flags,
  settings = ['data'],
  examples,
}: Declaration<F>): string {
  const all: Flags = { ...flags, ...flagsOfSettings(settings) }
  const parts = [
    usage.map((line) => `shoal ${line}`).join('\n'),
    about.trim(),
    Object.entries(all).map(describeFlag).join('\n'),
    ['Examples', ...examples.map(describeExample)].join('\n'),
  ]
  return `${parts.join('\n\n')}\n`
}

/** The flag and its value in one column, what it is for in the next. */
function describeFlag([name, { value, help, short }]: [string, Flag]): string {
  const letter = short === undefined ? '' : `-${short}, `
  const left = `  ${letter}--${name}${value === undefined ? '' : ` ${value}`}`
  const lines = wrap(help, screenWidth - leftColumn)
  const rows =
    left.length < leftColumn ? [left.padEnd(leftColumn) + lines.shift(), ...lines] : [left, ...lines]
  return rows.map((row, index) => (index === 0 ? row : ' '.repeat(leftColumn) + row)).join('\n')
}

function describeExample([line, purpose]: [string, string]): string {
  const left = `  shoal ${line}`
  return purpose === '' ? left : `${left.padEnd(leftColumn + 22)}  ${purpose}`
}
