/** Logs as JSON lines on standard error, or pretty where a person reads along. */
import pino from 'pino'
import type { Logger } from '../src/base/base.ts'
import { prettyLine } from './pretty-line.ts'

interface Destination {
  write(line: string): void
}

export interface LoggerOptions {
  /** `auto` is pretty on a terminal and JSON lines elsewhere; the default. */
  format?: 'auto' | 'json' | 'pretty'
  destination?: Destination
  isTerminal?: boolean
  colour?: boolean
}

export function createLogger(level: string, options: LoggerOptions = {}): Logger {
  const { format = 'auto', destination = standardError(), isTerminal = process.stderr.isTTY } = options
  const { colour = isTerminal && (process.env.NO_COLOR ?? '') === '' } = options
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal)
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    isPretty ? { write: (line) => destination.write(prettyLine(JSON.parse(line), { colour })) } : destination,
  )
}

/** Synchronous: what a crash was about has to be out before the process is gone. */
function standardError(): Destination {
  return pino.destination({ dest: 2, sync: true })
}
