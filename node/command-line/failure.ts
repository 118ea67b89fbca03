/** What a command that failed says, and the exit code it ends with. */
import { CodedError, systemReason } from '../../src/base/base.ts'
import { UsageError } from '../settings/settings.ts'

export interface Failure {
  message: string
  /** 1 failed, 2 not understood. */
  exitCode: 1 | 2
}

/** What the operator can do about refusals of the system; the rest of them are said as they are. */
const remedies: Record<string, string> = {
  EACCES: 'run it as the user that owns the path, or give that user the right',
  EPERM: 'run it as the user that owns the path, or give that user the right',
  EROFS:
    'the file system is read-only: check why it was remounted (dmesg), or choose another with --data DIR',
  ENOSPC: 'the disk is full: make room (shoal gc frees what nothing needs)',
  EDQUOT: 'the quota of this user is used up: raise it or make room (shoal gc frees what nothing needs)',
  EMFILE: 'too many files are open: raise the limit (ulimit -n, or LimitNOFILE= in the systemd unit)',
  EIO: 'the disk failed to answer: look at dmesg, and run shoal verify once it is mended',
}

/** `undefined` for a fault of the program itself, which is better shown with its trace. */
export function explainFailure(error: unknown): Failure | undefined {
  if (error instanceof UsageError) return { message: error.message, exitCode: 2 }
  if (error instanceof CodedError) return { message: error.message, exitCode: 1 }
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return undefined
  const remedy = remedies[String(error.code)]
  if (remedy !== undefined) return { message: `${error.message}\n       ${remedy}`, exitCode: 1 }
  const isFile = 'path' in error && error.syscall === 'open'
  return { message: isFile ? `${error.path}: ${systemReason(error)}` : error.message, exitCode: 1 }
}
