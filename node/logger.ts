/** Logs as JSON lines on standard error, or pretty where a person reads along. */
import pino from 'pino'
import type { Logger } from '../src/base/base.ts'

export function createLogger(level: string): Logger {
  // Synchronous: what a crash was about has to be out before the process is gone.
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  )
}
