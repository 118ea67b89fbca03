/** Commands run to their end: what they printed and how long they took, or an error that quotes them. */
import { spawn } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import { CodedError } from '../../src/base/base.ts'

export class CommandError extends CodedError {
  readonly code = 'COMMAND_FAILED'
}

/** The measured registries are on loopback; a proxy in the environment would be measured instead. */
export const environment = { ...process.env, NO_PROXY: '*', no_proxy: '*' }

export interface Finished {
  stdout: string
  /** From the spawn to the exit. */
  elapsedMs: number
}

/** Throws `COMMAND_FAILED` when the command cannot be started or does not exit with 0. */
export async function runCommand(
  file: string,
  args: readonly string[],
  { signal }: { signal: AbortSignal },
): Promise<Finished> {
  const started = performance.now()
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment, signal })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr = (output.stderr + text).slice(-4000)
  })
  const exit = await new Promise<number | string>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new CommandError(`cannot run ${file}: ${cause.message}`, { cause })),
    )
    child.once('close', (code, killedBy) => resolve(code ?? killedBy ?? 'nothing'))
  })
  const elapsedMs = performance.now() - started
  if (exit !== 0) {
    const said = (output.stderr.trim() || output.stdout.trim()).slice(-1000)
    throw new CommandError(`${[file, ...args].join(' ')} ended with ${exit}: ${said}`)
  }
  return { stdout: output.stdout, elapsedMs }
}
