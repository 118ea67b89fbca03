/** The users of this machine by name: whose a file is, and who a number is. */
import { readFileSync, statSync } from 'node:fs'

/** `undefined` when the path cannot be looked at. */
export function findOwner(path: string): string | undefined {
  try {
    return userName(statSync(path).uid)
  } catch (error) {
    if (isSystemError(error)) return undefined
    throw error
  }
}

/** The name where the machine knows one, or the number. */
export function userName(uid: number): string {
  const line = readUsers().find((entry) => entry.split(':')[2] === String(uid))
  return line?.split(':', 1)[0] ?? `uid ${uid}`
}

function readUsers(): string[] {
  try {
    return readFileSync('/etc/passwd', 'utf8').split('\n')
  } catch (error) {
    if (isSystemError(error)) return []
    throw error
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
