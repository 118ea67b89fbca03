/** Who was not let in, or not let do something, told to the audit log: so many lines a second, the rest as their number. */
import type { AuditEvent, AuditLog } from './audit-log.ts'

/** Who guesses can cause one at will; the rest of a second is one line with their number. */
const linesPerSecond = 10

export interface RefusalLog extends Disposable {
  write(event: AuditEvent): void
}

export function openRefusalLog(audit: AuditLog): RefusalLog {
  const told = new Map<string, number>()
  let second: NodeJS.Timeout | undefined

  const endSecond = (): void => {
    clearTimeout(second)
    second = undefined
    for (const [action, count] of told) {
      const more = count - linesPerSecond
      if (more > 0) audit.write({ action, from: 'several', more })
    }
    told.clear()
  }

  return {
    write(event) {
      second ??= setTimeout(endSecond, 1000).unref()
      const count = (told.get(event.action) ?? 0) + 1
      told.set(event.action, count)
      if (count <= linesPerSecond) audit.write(event)
    },
    [Symbol.dispose]: endSecond,
  }
}
