/** Commands that end by themselves. */
import { execFile } from 'node:child_process'
import { findProgram } from './requirement.ts'

export interface RunOptions {
  env?: Record<string, string>
  timeoutMs?: number
  cwd?: string
  /** What it reads from its standard input. */
  input?: string
}

export interface RunResult {
  stdout: string
  stderr: string
}

/** Runs a command to its end; throws, with all that it said, when it fails or takes too long. */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  const { env = {}, timeoutMs = 60_000, cwd, input } = options
  return new Promise((resolve, reject) => {
    const child = execFile(
      findProgram(command) ?? command,
      args,
      {
        env: { ...process.env, ...env },
        ...(cwd === undefined ? {} : { cwd }),
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 16 * 1024 * 1024,
      },
      (error, stdout, stderr) => {
        if (error === null) return resolve({ stdout, stderr })
        const end =
          error.killed === true
            ? `took longer than ${timeoutMs} ms`
            : `ended with ${error.code ?? error.signal}`
        reject(new Error(`${command} ${args.join(' ')} ${end}\n${stdout}${stderr}`, { cause: error }))
      },
    )
    if (input !== undefined) child.stdin?.end(input)
  })
}
