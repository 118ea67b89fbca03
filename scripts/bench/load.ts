/** The clients: curl processes that move the bytes of blobs, and the small requests around them. */
import { hash } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { runCommand } from './command.ts'
import type { Content } from './content.ts'
import { AnswerError, expectStatus } from './request.ts'
import type { Registry } from './subject.ts'

// -q first: a user's .curlrc must not change what is measured. -k: a node may be its own authority.
const curl = ['-q', '-k', '-sS', '--noproxy', '*', '-o', '/dev/null']

interface Signalled {
  signal: AbortSignal
}

/** Reads a blob to its end, as a curl process; resolves to curl's own time in ms, without its start. */
export async function pullBlob(
  registry: Registry,
  repository: string,
  content: Content,
  options: Signalled,
): Promise<number> {
  const url = `${registry.url}/v2/${repository}/blobs/${content.digest}`
  const report = '%{http_code} %{size_download} %{time_total}'
  const { stdout } = await runCommand('curl', [...curl, '-w', report, url], options)
  const [status, size, seconds] = stdout.split(' ')
  if (status === '200' && Number(size) === content.size) return Number(seconds) * 1000
  throw new AnswerError(`GET ${url} answered ${status} with ${size} bytes, expected 200 with ${content.size}`)
}

/** Pushes a file as POST, PATCH by a curl process, PUT; resolves to the time of all three in ms. */
export async function pushBlob(
  registry: Registry,
  repository: string,
  content: Content,
  options: Signalled,
): Promise<number> {
  const started = performance.now()
  const session = await openUpload(registry, repository, options)
  const report = '%{http_code} %header{location}'
  const type = 'Content-Type: application/octet-stream'
  const args = [
    ...curl,
    '-X',
    'PATCH',
    '-T',
    content.path,
    '-H',
    type,
    '-H',
    'Expect:',
    '-w',
    report,
    session,
  ]
  const { stdout } = await runCommand('curl', args, options)
  const [status, location] = stdout.split(' ')
  if (status !== '202' || !location)
    throw new AnswerError(`PATCH ${session} answered ${status}, expected 202`)
  await expectStatus(201, finishing(registry, location, content.digest), { method: 'PUT', ...options })
  return performance.now() - started
}

/** Pushes bytes as one POST and one PUT; resolves to their digest. */
export async function pushBytes(
  registry: Registry,
  repository: string,
  body: Uint8Array,
  options: Signalled,
): Promise<string> {
  const digest = `sha256:${hash('sha256', body)}`
  const session = await openUpload(registry, repository, options)
  const headers = { 'content-type': 'application/octet-stream' }
  await expectStatus(201, finishing(registry, session, digest), { method: 'PUT', headers, body, ...options })
  return digest
}

async function openUpload(registry: Registry, repository: string, options: Signalled): Promise<string> {
  const url = `${registry.url}/v2/${repository}/blobs/uploads/`
  const { headers } = await expectStatus(202, url, { method: 'POST', ...options })
  if (headers.location === undefined) throw new AnswerError(`POST ${url} answered without a Location`)
  return new URL(headers.location, registry.url).href
}

function finishing(registry: Registry, location: string, digest: string): string {
  const url = new URL(location, registry.url)
  url.searchParams.set('digest', digest)
  return url.href
}
