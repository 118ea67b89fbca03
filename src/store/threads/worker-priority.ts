/** How the store's threads share the processors with the event loop: they give way. */
import { readlinkSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

/** Beyond the main thread's: a third of its share where both want one processor, and all of what nobody else wants. */
const niceness = 5

/**
 * Called in a thread. Hashing has time; the event loop has clients waiting. Only on Linux do threads have priorities of their
 * own (setpriority(2), "C library/kernel differences"); elsewhere, and in a sandbox that forbids it, nothing happens.
 */
export function giveWayToMainThread(): void {
  if (process.platform !== 'linux') return
  try {
    // Such as `4711/task/4713`: this thread's own number, which Node does not tell.
    const [, thread] = readlinkSync('/proc/thread-self').split('/task/')
    if (thread !== undefined) setPriority(Number(thread), Math.min(getPriority(process.pid) + niceness, 19))
  } catch (error) {
    if (!isForbidden(error)) throw error
  }
}

/** No `/proc`, or a system call filter: Node's system errors carry their code inside. */
function isForbidden(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code, info } = error as NodeJS.ErrnoException & { info?: { code?: string } }
  return ['ENOENT', 'EPERM', 'EACCES', 'ENOSYS'].includes(info?.code ?? code ?? '')
}
