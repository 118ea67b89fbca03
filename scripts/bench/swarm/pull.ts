/** Clients: curl processes on the hosts, watched while they read. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { NetworkHost } from '../../../test/netns/network.ts'
import { CommandError, environment } from '../command.ts'
import type { Content } from '../content.ts'
import { AnswerError } from '../request.ts'
import type { Curve } from './curves.ts'

export interface Pull {
  /** Waits for the end; throws `UNEXPECTED_ANSWER` when not all bytes came. */
  readonly done: Promise<Pulled>
  /** How many bytes the client has. */
  bytes(): Promise<number>
}

export interface Pulled {
  /** curl's own times, without its start. */
  firstByteMs: number
  totalMs: number
}

export interface PullOptions {
  /** Where curl runs; default the machine itself. */
  host?: NetworkHost
  /** As curl writes it, such as `-65536`; default all. */
  range?: string
  signal: AbortSignal
}

// -q first: a user's .curlrc must not change what is measured.
const quiet = ['-q', '-sS', '--noproxy', '*', '-o', '/dev/null']
const sampleMs = 200

export function startPull(url: string, size: number, { host, range, signal }: PullOptions): Pull {
  const report = '%{http_code} %{size_download} %{time_starttransfer} %{time_total}'
  const curl = [...quiet, '-w', report, ...(range === undefined ? [] : ['-r', range]), url]
  const { command, args } = host?.command('curl', curl) ?? { command: 'curl', args: curl }
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: environment, signal })
  let isOver = false
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr = (output.stderr + text).slice(-1000)
  })
  const done = new Promise<Pulled>((resolve, reject) => {
    child.once('error', (cause) => {
      isOver = true
      reject(new CommandError(`cannot run ${command}: ${cause.message}`, { cause }))
    })
    child.once('close', () => {
      isOver = true
      const [status, got, first, total] = output.stdout.split(' ').map(Number)
      if (status === (range === undefined ? 200 : 206) && got === size) {
        resolve({ firstByteMs: (first ?? 0) * 1000, totalMs: (total ?? 0) * 1000 })
        return
      }
      const where = host === undefined ? url : `${url} on ${host.name}`
      reject(
        new AnswerError(
          `GET ${where} answered ${status} with ${got} of ${size} bytes ${output.stderr.trim()}`,
        ),
      )
    })
  })
  return {
    done,
    bytes: async () => (isOver || child.pid === undefined ? size : Math.min(size, await written(child.pid))),
  }
}

export interface HostPull {
  /** From the herd's start to this host's end. */
  endMs: number
  curve: Curve
}

/** One blob on all hosts at once, watched to the end of the last one; when one fails, the others are ended. */
export async function pullAtOnce(
  urls: readonly { url: string; host: NetworkHost }[],
  content: Pick<Content, 'size'>,
  { signal }: { signal: AbortSignal },
): Promise<HostPull[]> {
  const failing = new AbortController()
  const either = AbortSignal.any([signal, failing.signal])
  const startedAt = performance.now()
  const since = (): number => performance.now() - startedAt
  const results = urls.map(async ({ url, host }) => {
    const pull = startPull(url, content.size, { host, signal: either })
    const over = new AbortController()
    const watched = watch(pull, since, over.signal)
    try {
      await pull.done
    } catch (error) {
      failing.abort(error)
      throw error
    } finally {
      over.abort()
      await watched
    }
    const endMs = since()
    return { endMs, curve: [...(await watched), { atMs: endMs, bytes: content.size }] }
  })
  await Promise.allSettled(results)
  failing.signal.throwIfAborted()
  return await Promise.all(results)
}

async function watch(pull: Pull, since: () => number, signal: AbortSignal): Promise<Curve> {
  const curve = [{ atMs: 0, bytes: 0 }]
  while (!signal.aborted) {
    try {
      await delay(sampleMs, undefined, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
      break
    }
    const bytes = await pull.bytes()
    if (!signal.aborted) curve.push({ atMs: since(), bytes })
  }
  return curve
}

/** What the process has written, which is what curl has received and thrown away; it may end at any time. */
async function written(pid: number): Promise<number> {
  try {
    return Number(/^wchar: (\d+)/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) {
      return 0
    }
    throw error
  }
}
