/** What the nodes wrote: kept in files, searched when something went wrong, and itself wrong where it says so. */

import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import type { FaultKind } from './plan.ts'

/** pino's number of `error`. */
const errorLevel = 50
const keptLines = 20_000

/** Lines of the level `error` that a fault is allowed to cause, while it goes on and for the rest of the soak. */
export const allowedErrors: readonly {
  readonly pattern: RegExp
  readonly fault: FaultKind
  readonly reason: string
}[] = [
  {
    pattern: /"msg":"(a blob has rotted on the disk|content does not hash to its name and was quarantined)"/,
    fault: 'rot',
    reason: 'a disk that changes what is on it is an operator’s business at once',
  },
  {
    pattern: /"msg":"what rotted is in quarantine, and no member gives another copy"/,
    fault: 'rot',
    reason: 'content is lost for good unless somebody pushes it again',
  },
]

/** What a node prints besides its log, some of it only after a fault. */
const announcements: readonly { readonly pattern: RegExp; readonly fault?: FaultKind }[] = [
  { pattern: /^shoal is ready: registry / },
  {
    pattern: /^shoal: the disk of \S+ is full, and its database takes up to 16 MiB to be opened/,
    fault: 'disk',
  },
]

export interface LogLine {
  /** When it came, by the clock of the soak: the node's own may be stepped. */
  readonly atMs: number
  readonly text: string
}

/** Why a line must not be there; `undefined` for one that may, after these faults. */
export function complaintOf(line: string, faults: ReadonlySet<FaultKind>): string | undefined {
  const entry = parse(line)
  const isFitting = ({ pattern, fault }: { pattern: RegExp; fault?: FaultKind }): boolean =>
    (fault === undefined || faults.has(fault)) && pattern.test(line)
  if (entry === undefined) {
    if (line.trim() === '' || announcements.some(isFitting)) return undefined
    return 'a line that is not of the log'
  }
  if (entry.level < errorLevel) return undefined
  const isAllowed = allowedErrors.some(isFitting)
  return isAllowed ? undefined : 'a line of level error'
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

export interface LogWatchOptions {
  now: () => number
  /** Those that happened up to now. */
  faults: () => ReadonlySet<FaultKind>
  onComplaint: (complaint: string, line: LogLine) => void
}

export class LogWatch implements AsyncDisposable {
  readonly lines: LogLine[] = []
  readonly #file: WriteStream
  readonly #options: LogWatchOptions
  #rest = ''

  constructor(file: string, options: LogWatchOptions) {
    this.#file = createWriteStream(file)
    this.#options = options
  }

  /** Given chunks, not lines. */
  feed(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#take(line)
  }

  /** What was written within `spanMs` of that time and holds one of the words, or with `warnings` is one or worse. */
  around(
    atMs: number,
    spanMs: number,
    { words, warnings }: { words: readonly string[]; warnings: boolean },
  ): string[] {
    return this.lines
      .filter((line) => Math.abs(line.atMs - atMs) <= spanMs)
      .filter(
        ({ text }) =>
          words.some((word) => text.includes(word)) || (warnings && !/^\{"level":[123]0,/.test(text)),
      )
      .map(printed)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#rest !== '') this.#take(this.#rest)
    this.#file.end()
    await once(this.#file, 'close')
  }

  #take(text: string): void {
    const { now, faults, onComplaint } = this.#options
    const line = { atMs: now(), text }
    this.lines.push(line)
    if (this.lines.length > 2 * keptLines) this.lines.splice(0, keptLines)
    this.#file.write(`${printed(line)}\n`)
    const complaint = complaintOf(text, faults())
    if (complaint !== undefined) onComplaint(complaint, line)
  }
}

function printed({ atMs, text }: LogLine): string {
  return `+${(atMs / 1000).toFixed(3)} ${text}`
}
