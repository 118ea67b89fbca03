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
  return await pullFrom(`${registry.url}/v2/${repository}/blobs/${content.digest}`, content, options)
}

/** As `pullBlob`, from whatever serves it there. */
export async function pullFrom(url: string, content: Content, options: Signalled): Promise<number> {
  const report = '%{http_code} %{size_download} %{time_total}'
  const { stdout } = await runCommand('curl', [...curl, '-w', report, url], options)
  const [status, size, seconds] = stdout.split(' ')
  if (status === '200' && Number(size) === content.size) return Number(seconds) * 1000
  throw new AnswerError(`GET ${url} answered ${status} with ${size} bytes, expected 200 with ${content.size}`)
}

/**
 * How the body goes: by PATCH and an empty PUT, or with the PUT; with a length, or in chunks of HTTP, as of docker and podman by
 * PATCH, and of containerd by PUT.
 */
export interface BlobShape {
  by: 'PATCH' | 'PUT'
  isChunked?: boolean
}

/** Pushes a file after a POST, its body by a curl process; resolves to the time of all of it in ms. */
export async function pushBlob(
  registry: Registry,
  repository: string,
  content: Content,
  options: Signalled,
  { by, isChunked = false }: BlobShape = { by: 'PATCH' },
): Promise<number> {
  const started = performance.now()
  const session = await openUpload(registry, repository, options)
  const target = by === 'PUT' ? finishing(registry, session, content.digest) : session
  const headers = ['Content-Type: application/octet-stream', 'Expect:']
  if (isChunked) headers.push('Transfer-Encoding: chunked')
  const shape = ['-X', by, '-T', content.path, ...headers.flatMap((header) => ['-H', header])]
  const report = ['-w', '%{http_code} %header{location}']
  const { stdout } = await runCommand('curl', [...curl, ...shape, ...report, target], options)
  const [status, location] = stdout.split(' ')
  const expected = by === 'PUT' ? '201' : '202'
  if (status !== expected || !location)
    throw new AnswerError(`${by} ${target} answered ${status}, expected ${expected}`)
  if (by === 'PATCH')
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
