/** What a command that failed says, and the exit code it ends with. */
import { CodedError } from '../../src/base/base.ts'
import { OperationError } from '../admin/client.ts'
import { inWords } from '../peer-names.ts'

export interface Failure {
  /** For programs: of the error's class, or the system's. */
  code: string
  message: string
  /** The message for people, who know hosts by their names. */
  words: string
  /** 1 failed, 2 not understood. */
  exitCode: 1 | 2
}

/** What was typed or configured was wrong, wherever that was found. */
const notUnderstood: ReadonlySet<string> = new Set(['USAGE', 'TOKEN_INVALID'])

/** Refusals of the system, in words, with what can be done about them. */
export const refusals: Record<string, { words: string; remedy?: string }> = {
  EACCES: {
    words: 'this user may not',
    remedy: 'run it as the user that owns the path, or give that user the right',
  },
  EPERM: {
    words: 'this user may not',
    remedy: 'run it as the user that owns the path, or give that user the right',
  },
  EROFS: {
    words: 'the file system is read-only',
    remedy: 'check why it was remounted (dmesg), or choose another with --data DIR',
  },
  ENOSPC: { words: 'the disk is full', remedy: 'make room (shoal gc frees what nothing needs)' },
  EDQUOT: {
    words: 'the quota of this user is used up',
    remedy: 'raise it or make room (shoal gc frees what nothing needs)',
  },
  EMFILE: {
    words: 'too many files are open',
    remedy: 'raise the limit (ulimit -n, or LimitNOFILE= in the systemd unit)',
  },
  EIO: {
    words: 'the disk failed to answer',
    remedy: 'look at dmesg, and run shoal verify once it is mended',
  },
  ENOENT: { words: 'there is no such file or folder' },
  EEXIST: { words: 'it is there already' },
  EISDIR: { words: 'it is a folder' },
  ENOTDIR: { words: 'what stands before the last / is no folder' },
  EADDRINUSE: { words: 'it is in use by another process', remedy: 'choose another' },
  EADDRNOTAVAIL: {
    words: 'it is no address of this host',
    remedy: 'choose another (--http, --p2p or --metrics HOST:PORT)',
  },
  ECONNREFUSED: { words: 'nobody listens there' },
  ECONNRESET: { words: 'the other side broke the connection off' },
  EPIPE: { words: 'the other side broke the connection off' },
  ENOTFOUND: { words: 'it is a name without an address' },
  ETIMEDOUT: { words: 'nothing answers' },
}

/** `undefined` for a fault of the program itself, which is better shown with its trace. */
export function explainFailure(error: unknown): Failure | undefined {
  if (error instanceof CodedError) {
    const { code, message } = error
    const words = error instanceof OperationError ? inWords(message, error.called) : message
    return { code, message, words, exitCode: notUnderstood.has(code) ? 2 : 1 }
  }
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return undefined
  const code = String(error.code)
  const { words, remedy } = refusals[code] ?? { words: `the system refuses it (${code})` }
  const message = `${subjectOf(error)}: ${words}${remedy === undefined ? '' : `; ${remedy}`}`
  return { code, message, words: message, exitCode: 1 }
}

/** What the system was asked about, or else for. */
function subjectOf(error: Error & { syscall?: unknown; path?: unknown; address?: unknown; port?: unknown }) {
  const { path, address, port, syscall } = error
  if (typeof path === 'string') return path
  if (typeof address !== 'string') return String(syscall)
  return typeof port === 'number' && port > 0 ? `${address}:${port}` : address
}
