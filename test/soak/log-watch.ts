/** What the nodes wrote: kept in files, searched when something went wrong, and itself wrong where it says so. */

import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'

/** pino's number of `error`. */
const errorLevel = 50
const keptLines = 20_000

/** Lines of the level `error` that faults are allowed to cause. */
export const allowedErrors: readonly { readonly pattern: RegExp; readonly reason: string }[] = []

/** What a node prints besides its log. */
const announcements = [/^shoal is ready: registry /]

export interface LogLine {
  /** When it came, by the clock of the soak: the node's own may be stepped. */
  readonly atMs: number
  readonly text: string
}

/** Why a line must not be there; `undefined` for one that may. */
export function complaintOf(line: string): string | undefined {
  const entry = parse(line)
  if (entry === undefined) {
    if (line.trim() === '' || announcements.some((pattern) => pattern.test(line))) return undefined
    return 'a line that is not of the log'
  }
  if (entry.level < errorLevel) return undefined
  return allowedErrors.some(({ pattern }) => pattern.test(line)) ? undefined : 'a line of level error'
}

function parse(line: string): { level: number } | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value !== 'object' || value === null || !('level' in value)) return undefined
    return typeof value.level === 'number' ? { level: value.level } : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

export class LogWatch implements AsyncDisposable {
  readonly lines: LogLine[] = []
  readonly #file: WriteStream
  readonly #now: () => number
  readonly #onComplaint: (complaint: string, line: LogLine) => void
  #rest = ''

  constructor(
    file: string,
    options: { now: () => number; onComplaint: (complaint: string, line: LogLine) => void },
  ) {
    this.#file = createWriteStream(file)
    this.#now = options.now
    this.#onComplaint = options.onComplaint
  }

  /** Given chunks, not lines. */
  feed(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#take(line)
  }

  /** What was written within `spanMs` of that time and holds one of the words, or is a warning or worse. */
  around(atMs: number, spanMs: number, words: readonly string[]): string[] {
    return this.lines
      .filter((line) => Math.abs(line.atMs - atMs) <= spanMs)
      .filter(({ text }) => words.some((word) => text.includes(word)) || /"level":[4-6]0/.test(text))
      .map(printed)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#rest !== '') this.#take(this.#rest)
    this.#file.end()
    await once(this.#file, 'close')
  }

  #take(text: string): void {
    const line = { atMs: this.#now(), text }
    this.lines.push(line)
    if (this.lines.length > 2 * keptLines) this.lines.splice(0, keptLines)
    this.#file.write(`${printed(line)}\n`)
    const complaint = complaintOf(text)
    if (complaint !== undefined) this.#onComplaint(complaint, line)
  }
}

function printed({ atMs, text }: LogLine): string {
  return `+${(atMs / 1000).toFixed(3)} ${text}`
}
