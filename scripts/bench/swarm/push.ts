/** Pushes from a host itself to a registry on its own loopback, which no link slows down. */
import path from 'node:path'
import type { NetworkHost } from '../../../test/netns/network.ts'
import { runCommand } from '../command.ts'
import type { Content } from '../content.ts'
import { AnswerError } from '../request.ts'

export const repository = 'bench/swarm'

const quiet = ['-q', '-sS', '--noproxy', '*', '-o', '/dev/null']

export interface PushOptions {
  /** Where curl runs; default the machine itself. */
  host?: NetworkHost
  /** `http://127.0.0.1:PORT`; default that of a node on a host of its own. */
  url?: string
  /** As fast as a client behind such a link would send. */
  megabits?: number
  signal: AbortSignal
}

/** Throws `UNEXPECTED_ANSWER`. */
export async function pushFile(content: Content, options: PushOptions): Promise<void> {
  const { url = 'http://127.0.0.1:5000', megabits } = options
  const uploads = `${url}/v2/${repository}/blobs/uploads/`
  const location = await curl('202', ['-X', 'POST', '-H', 'Content-Length: 0', uploads], options)
  const session = new URL(location, url)
  session.searchParams.set('digest', content.digest)
  const type = ['-H', 'Content-Type: application/octet-stream', '-H', 'Expect:']
  const rate = megabits === undefined ? [] : ['--limit-rate', String(Math.round((megabits * 1e6) / 8))]
  await curl('201', ['-T', content.path, ...rate, ...type, session.href], options)
}

export function blobPath(digest: string): string {
  return `/v2/${repository}/blobs/${digest}`
}

export function manifestPath(tag: string): string {
  return `/v2/${repository}/manifests/${tag}`
}

/** Where a node keeps a blob that it holds. */
export function storedPath(data: string, digest: string): string {
  const hex = digest.slice('sha256:'.length)
  return path.join(data, 'blobs', 'sha256', hex.slice(0, 2), hex)
}

/** Returns the Location. */
async function curl(expected: string, args: string[], { host, signal }: PushOptions): Promise<string> {
  const all = [...quiet, '-w', '%{http_code} %header{location}', ...args]
  const run = host?.command('curl', all) ?? { command: 'curl', args: all }
  const { stdout } = await runCommand(run.command, run.args, { signal })
  const [status, location = ''] = stdout.trim().split(' ')
  if (status === expected) return location
  throw new AnswerError(`${args.at(-1)} answered ${status}, expected ${expected}`)
}
