/** HEAD over 64 kept connections in a process of its own: wrk waits for the body that a HEAD announces. */
import { connect, type Socket } from 'node:net'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { runCommand } from './command.ts'
import { AnswerError } from './request.ts'
import { connections, type LoadResult, type LoadTarget } from './wrk.ts'

/** Throws `UNEXPECTED_ANSWER` or `COMMAND_FAILED` when an answer was not 200 or a connection broke. */
export async function runHeadLoad(
  target: LoadTarget,
  { signal }: { signal: AbortSignal },
): Promise<LoadResult> {
  const file = path.join(import.meta.dirname, 'head-load.ts')
  const { stdout } = await runCommand(process.execPath, [file, JSON.stringify(target)], { signal })
  return JSON.parse(stdout) as LoadResult
}

/** Sends one request after the other on each connection, until the time is up. */
async function load(target: LoadTarget): Promise<LoadResult> {
  const latencies: number[] = []
  const started = performance.now()
  const end = started + target.seconds * 1000
  await Promise.all(Array.from({ length: connections }, () => askUntil(target, end, latencies)))
  const elapsedMs = performance.now() - started
  const sorted = Float64Array.from(latencies).sort()
  const p99Ms = sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN
  return { perSecond: latencies.length / (elapsedMs / 1000), p99Ms }
}

function askUntil(target: LoadTarget, end: number, latencies: number[]): Promise<void> {
  const { hostname, port, host, pathname } = new URL(target.url)
  const question = `HEAD ${pathname} HTTP/1.1\r\nHost: ${host}\r\nAccept: ${target.accept}\r\n\r\n`
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ host: hostname, port: Number(port), noDelay: true })
    let received = ''
    let asked = 0
    const ask = () => {
      asked = performance.now()
      socket.write(question, 'latin1')
    }
    socket.once('connect', ask)
    socket.once('error', reject)
    socket.once('close', () => resolve())
    socket.once('end', () => reject(new AnswerError('the registry closed a kept connection')))
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      if (!received.endsWith('\r\n\r\n')) return
      if (!received.startsWith('HTTP/1.1 200 ')) reject(new AnswerError(received.slice(0, 200)))
      received = ''
      const now = performance.now()
      latencies.push(now - asked)
      if (now < end) ask()
      else socket.destroy()
    })
  })
}

if (import.meta.main) {
  const target = JSON.parse(process.argv[2] ?? '') as LoadTarget
  process.stdout.write(JSON.stringify(await load(target)))
}
