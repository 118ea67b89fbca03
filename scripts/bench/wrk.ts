/** wrk: requests per second and the 99th percentile of the latency over 64 kept connections. */

import { runCommand } from './command.ts'
import { AnswerError } from './request.ts'

export const connections = 64

export interface LoadResult {
  perSecond: number
  p99Ms: number
}

export interface LoadTarget {
  url: string
  accept: string
  /** Besides. */
  headers?: string[]
  seconds: number
}

/** Throws `UNEXPECTED_ANSWER` when an answer was not 2xx or 3xx, or a connection broke. */
export async function runWrk(target: LoadTarget, { signal }: { signal: AbortSignal }): Promise<LoadResult> {
  // Within its two seconds a registry that is slow on a busy machine would pass for one that does not answer.
  const shape = ['-t2', `-c${connections}`, `-d${target.seconds}s`, '--timeout', '20s', '--latency']
  const headers = [`Accept: ${target.accept}`, ...(target.headers ?? [])].flatMap((line) => ['-H', line])
  const { stdout } = await runCommand('wrk', [...shape, ...headers, target.url], { signal })
  const bad = /^\s*(?:Non-2xx|Socket errors).*$/m.exec(stdout)
  if (bad !== null) throw new AnswerError(`GET ${target.url}: wrk reports ${bad[0].trim()}`)
  const perSecond = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]
  const [, figure, unit] = /99%\s+([\d.]+)(us|ms|s)\b/.exec(stdout) ?? []
  if (perSecond === undefined || figure === undefined || unit === undefined) {
    throw new AnswerError(`wrk printed no figures for ${target.url}: ${stdout.slice(0, 500)}`)
  }
  const unitMs = unit === 'us' ? 0.001 : unit === 'ms' ? 1 : 1000
  return { perSecond: Number(perSecond), p99Ms: Number(figure) * unitMs }
}
