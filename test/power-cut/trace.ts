/** What a process did to its files, by `strace`: every write, sync and change of a name, in the order in which they were over. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export type Call =
  /** Opened, and made where it was not; the number is the process's for the open file. */
  | { name: 'open'; file: number; path: string; creates: boolean; truncates: boolean; appends: boolean }
  | { name: 'write'; file: number; bytes: Buffer; offset?: number }
  | { name: 'truncate'; file: number; size: number }
  | { name: 'sync'; file: number }
  | { name: 'mkdir'; path: string }
  | { name: 'unlink'; path: string }
  | { name: 'rename'; from: string; to: string }

/** `beganNs` and `endedNs` are of the same clock. */
export type TimedCall = Call & { beganNs: bigint; endedNs: bigint }

const traced = [
  ...['openat', 'write', 'writev', 'pwrite64', 'pwritev', 'ftruncate', 'fsync', 'fdatasync'],
  ...['rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'rmdir', 'mkdir', 'mkdirat'],
]

/** Runs Node on a script. The traces of its threads lie in `folder` when it resolves. Throws when the script fails. */
export async function trace(script: string[], folder: string): Promise<TimedCall[]> {
  const options = [
    ...['-ff', '--seccomp-bpf', '-o', join(folder, 'thread'), '-y', '-xx', '-s', String(2 ** 24)],
    ...['--absolute-timestamps=format:unix,precision:ns', '--syscall-times=ns', '-e', 'signal=none'],
    ...['-e', `trace=${traced.join(',')}`],
  ]
  const child = spawn('strace', [...options, process.execPath, ...script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, UV_USE_IO_URING: '0' },
  })
  child.stdout.resume()
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${script.join(' ')} ended with ${code}`)
  const calls: TimedCall[] = []
  for (const name of await readdir(folder)) {
    const text = await readFile(join(folder, name), 'latin1')
    for (const line of text.split('\n')) {
      const call = parseLine(line)
      if (call !== undefined) calls.push(call)
    }
  }
  return calls.sort((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1))
}

/** What the process prints tells of what was over before: it counts from its beginning. */
export function timeOf(call: TimedCall): bigint {
  return isPrinted(call) ? call.beganNs : call.endedNs
}

/** The standard output's file is 1. */
export function isPrinted(call: TimedCall): call is TimedCall & { name: 'write'; file: 1 } {
  return call.name === 'write' && call.file === 1
}

/** `undefined` for a call that failed, or changes nothing. */
export function parseLine(line: string): TimedCall | undefined {
  const match = /^(\d+)\.(\d{9}) (\w+)\((.*)\) += (-?\d+)[^=]*<(\d+)\.(\d{9})>$/.exec(line)
  if (match === null) return undefined
  const [, second = '', nano = '', name = '', args = '', result = '', tookSecond = '', tookNano = ''] = match
  const call = Number(result) < 0 ? undefined : parseCall(name, args, Number(result))
  if (call === undefined) return undefined
  const beganNs = BigInt(second + nano)
  return { ...call, beganNs, endedNs: beganNs + BigInt(tookSecond + tookNano) }
}

function parseCall(name: string, args: string, result: number): Call | undefined {
  const texts = [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex = '']) => unhex(hex))
  const [first = Buffer.of(), second = Buffer.of()] = texts
  const file = Number.parseInt(args, 10)
  const last = Number(/(-?\d+)$/.exec(args)?.[1])
  switch (name) {
    case 'openat': {
      const flags = /, (O_[A-Z_|]+)/.exec(args)?.[1]?.split('|') ?? []
      const has = (flag: string): boolean => flags.includes(flag)
      return {
        name: 'open',
        file: result,
        path: first.toString(),
        creates: has('O_CREAT'),
        truncates: has('O_TRUNC'),
        appends: has('O_APPEND'),
      }
    }
    case 'write':
    case 'writev':
      return { name: 'write', file, bytes: Buffer.concat(texts).subarray(0, result) }
    case 'pwrite64':
    case 'pwritev':
      return { name: 'write', file, bytes: Buffer.concat(texts).subarray(0, result), offset: last }
    case 'ftruncate':
      return { name: 'truncate', file, size: last }
    case 'fsync':
    case 'fdatasync':
      return { name: 'sync', file }
    case 'mkdir':
    case 'mkdirat':
      return { name: 'mkdir', path: first.toString() }
    case 'unlink':
    case 'unlinkat':
    case 'rmdir':
      return { name: 'unlink', path: first.toString() }
    case 'rename':
    case 'renameat':
    case 'renameat2':
      return { name: 'rename', from: first.toString(), to: second.toString() }
    default:
      return undefined
  }
}

function unhex(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex')
}
