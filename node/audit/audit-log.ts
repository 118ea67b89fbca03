/**
 * Who changed what, as lines of JSON in a file of the data directory: pushes, deletions, accounts, the policy, and who was not let
 * in. It is for reading afterwards; a line that cannot be written stops nothing, and is told in the node's log.
 */
import { appendFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, type Logger, logFailure, steadyClock } from '../../src/base/base.ts'

export interface AuditEvent {
  action: string
  /** The account in whose name it was done. */
  account?: string | undefined
  /** The client's address; `admin.sock` for a command on the node's host, `page` for the page. */
  from: string
  [fact: string]: unknown
}

export interface AuditLog extends AsyncDisposable {
  write(event: AuditEvent): void
}

interface AuditLogOptions {
  /** The data directory. */
  directory: string
  /** The node's peer id. */
  node: string
  /** Milliseconds since the epoch. */
  nowMs: () => number
  logger: Logger
  clock?: Clock
  /** At which the file makes way for the next; the one before is kept. Default 16 MiB. */
  maxBytes?: number
}

export const auditFileName = 'audit.log'
/** Lines that wait for the disk; beyond them lines are lost, which is told. */
const maxWaiting = 10_000
/** A line that comes alone is written at once; those that follow within this time go together. */
const gatherMs = 100

export function openAuditLog({
  directory,
  node,
  nowMs,
  logger,
  clock = steadyClock,
  maxBytes = 16 * 1024 * 1024,
}: AuditLogOptions): AuditLog {
  const file = join(directory, auditFileName)
  let waiting: string[] = []
  let lost = 0
  let size: number | undefined
  let writing: Promise<void> | undefined
  const closing = new AbortController()

  async function writeAll(): Promise<void> {
    while (waiting.length > 0) {
      const lines = waiting
      waiting = []
      try {
        await append(lines.join(''))
      } catch (error) {
        logFailure(logger, error, 'the audit log cannot be written', { file, lines: lines.length })
      }
      await gather()
    }
    if (lost > 0)
      logger.error({ file, lines: lost }, 'the audit log is not written fast enough: lines are lost')
    lost = 0
  }

  async function gather(): Promise<void> {
    const { signal } = closing
    try {
      if (!signal.aborted) await clock.sleep(gatherMs, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async function append(text: string): Promise<void> {
    size ??= await sizeOf(file)
    if (size > 0 && size + text.length > maxBytes) {
      await rename(file, `${file}.1`)
      size = 0
    }
    await appendFile(file, text, { mode: 0o600 })
    size += Buffer.byteLength(text)
  }

  return {
    write({ action, account, from, ...facts }) {
      if (waiting.length >= maxWaiting) {
        lost++
        return
      }
      const time = new Date(nowMs()).toISOString()
      const who = account === undefined ? {} : { account }
      waiting.push(`${JSON.stringify({ time, node, action, ...who, from, ...facts })}\n`)
      writing ??= writeAll().finally(() => {
        writing = undefined
      })
    },
    async [Symbol.asyncDispose]() {
      closing.abort()
      await writing
    },
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0
    throw error
  }
}
