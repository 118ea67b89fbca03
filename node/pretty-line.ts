/** A log line for people: the time, how bad it is, what happened, and the facts as `name=value`. */

const levels: Record<number, { name: string; colour: number }> = {
  10: { name: 'TRACE', colour: 90 },
  20: { name: 'DEBUG', colour: 90 },
  30: { name: 'INFO', colour: 32 },
  40: { name: 'WARN', colour: 33 },
  50: { name: 'ERROR', colour: 31 },
  60: { name: 'FATAL', colour: 31 },
}

/** What would end a line, move a terminal's cursor, or turn the direction of the text around. */
const unprintable = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu
/** What needs no quotes. */
const plain = /^[\p{L}\p{N}\p{P}\p{S}]+$/u

/** One entry of the JSON log, with a line break at its end. Nothing in it can look like another line or colour the terminal. */
export function prettyLine(
  entry: Readonly<Record<string, unknown>>,
  { colour }: { colour: boolean },
): string {
  const { level, time, msg, err, ...facts } = entry
  const { name, colour: code } = levels[Number(level)] ?? { name: String(level), colour: 0 }
  const padded = name.padEnd(5)
  const words = [
    String(time).replace('T', ' ').replace('Z', ''),
    colour ? `\u001b[${code}m${padded}\u001b[39m` : padded,
    printable(String(msg)),
    ...factTexts(facts),
  ]
  return `${words.join(' ')}\n${err === undefined ? '' : errorText(err)}`
}

/** A host that has a name stands by that: `peerName` in the place of `peer`. */
function factTexts(facts: Readonly<Record<string, unknown>>): string[] {
  const isName = (key: string): boolean => key.endsWith('Name') && Object.hasOwn(facts, key.slice(0, -4))
  return Object.entries(facts)
    .filter(([key]) => !isName(key))
    .map(([key, value]) => `${printable(key)}=${valueText(facts[`${key}Name`] ?? value)}`)
}

function valueText(value: unknown): string {
  if (typeof value !== 'string') return printable(JSON.stringify(value) ?? 'undefined')
  return plain.test(value) && !value.includes('"') ? printable(value) : printable(JSON.stringify(value))
}

/** Indented, as it has lines of its own. */
function errorText(error: unknown): string {
  const stack = isObject(error) && typeof error.stack === 'string' ? error.stack : JSON.stringify(error)
  return stack
    .split('\n')
    .map((line) => `    ${printable(line)}\n`)
    .join('')
}

function printable(text: string): string {
  return text.replace(unprintable, (character) => {
    const code = character.codePointAt(0) ?? 0
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`
  })
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
