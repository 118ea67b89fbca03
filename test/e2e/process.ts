/** Daemons that tests run: waited for, and ended by their id. */
import { type ChildProcess, spawn } from 'node:child_process'
import { afterEach } from 'vitest'
import { killAtExit } from './kill-at-exit.ts'
import { findProgram } from './requirement.ts'

export { type RunOptions, type RunResult, run } from './command.ts'

const KEPT_OUTPUT = 64 * 1024
const SHOWN_LINES = 30
const READY_MS = 30_000
const STOP_MS = 15_000

export interface Daemon extends AsyncDisposable {
  readonly name: string
  /** The last part of what it wrote to both streams. */
  output(): string
  running(): boolean
  /** Of the program that was started; what it becomes by `exec` keeps it. */
  readonly pid: number | undefined
  /** `null` while it runs, and when a signal ended it. */
  exitCode(): number | null
  /** Does not wait for what comes of it. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGUSR2'): void
  /** Sends the signal and resolves when the process is gone. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

export interface DaemonOptions {
  env?: Record<string, string>
  cwd?: string
  /** What it writes once it can be used; without it, `startDaemon` does not wait. */
  ready?: RegExp
  /** How long that is waited for. */
  readyMs?: number
  /** Given everything that it writes, as it comes. */
  onOutput?: (text: string) => void
}

/** Starts a long-running program and waits until it says that it is ready; throws, with its output, when it ends first. */
export async function startDaemon(
  name: string,
  command: string,
  args: string[],
  options: DaemonOptions = {},
): Promise<Daemon> {
  const child = spawn(findProgram(command) ?? command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  // A worker that is ended in the middle of a test must not leave daemons behind.
  killAtExit(child)

  let output = ''
  const said = (chunk: string) => {
    output = (output + chunk).slice(-KEPT_OUTPUT)
    options.onOutput?.(chunk)
  }
  child.stdout.setEncoding('utf8').on('data', said)
  child.stderr.setEncoding('utf8').on('data', said)
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', (error) => {
      said(`${error.message}\n`)
      resolve()
    })
  })

  const daemon: Daemon = {
    name,
    output: () => output,
    running: () => isRunning(child),
    pid: child.pid,
    signal: (signal) => void child.kill(signal),
    exitCode: () => child.exitCode,
    async end(signal) {
      if (isRunning(child)) child.kill(signal)
      await gone
    },
    async [Symbol.asyncDispose]() {
      const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
      await this.end('SIGTERM')
      clearTimeout(impatience)
    },
  }
  if (options.ready !== undefined) await readiness(daemon, child, gone, options.ready, options.readyMs)
  return daemon
}

/** After a test that failed, prints what its daemons wrote. */
export function showOutputOnFailure(daemons: () => (Spoken | undefined)[]): void {
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') showOutput(daemons())
  })
}

type Spoken = Pick<Daemon, 'name' | 'output'>

export function showOutput(daemons: (Spoken | undefined)[]): void {
  for (const daemon of daemons) {
    if (daemon === undefined) continue
    const lines = daemon
      .output()
      .trimEnd()
      .split('\n')
      .slice(-SHOWN_LINES)
      .map((line) => line.slice(0, 300))
    console.error(`--- ${daemon.name}, last ${lines.length} lines\n${lines.join('\n')}`)
  }
}

async function readiness(
  daemon: Daemon,
  child: ChildProcess,
  gone: Promise<void>,
  ready: RegExp,
  readyMs = READY_MS,
): Promise<void> {
  const said = new Promise<'ready'>((resolve) => {
    const look = () => {
      if (ready.test(daemon.output())) resolve('ready')
    }
    child.stdout?.on('data', look)
    child.stderr?.on('data', look)
    look()
  })
  const { promise: late, resolve: tooLate } = Promise.withResolvers<'late'>()
  const timer = setTimeout(() => tooLate('late'), readyMs)
  const end = await Promise.race([said, gone, late])
  clearTimeout(timer)
  if (end === 'ready') return
  await daemon.end('SIGKILL')
  const what = end === 'late' ? `was not ready after ${readyMs} ms` : 'ended before it was ready'
  throw new Error(`${daemon.name} ${what}\n${daemon.output()}`)
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null
}
