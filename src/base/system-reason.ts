/** Why the system refused a file, in words of one's own: Node's begin with a code and end with a call. */

const reasons: Record<string, string> = {
  ENOENT: 'there is no such file or folder',
  EEXIST: 'it is there already',
  EISDIR: 'it is a folder',
  ENOTDIR: 'what stands before the last / is no folder',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
}

/** For after `FILE cannot be read:`. What is not known here is said as it came. */
export function systemReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return reasons[code] ?? (error instanceof Error ? error.message : String(error))
}
