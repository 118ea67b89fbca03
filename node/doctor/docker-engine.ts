/** What a running dockerd says of its own configuration, asked over its socket (Docker Engine API, `GET /info`). */
import type { IncomingMessage } from 'node:http'
import { readUpTo } from '../chunks.ts'
import { request } from '../node-http.ts'
import { isRefusal } from './check.ts'

export interface DockerInfo {
  version: string
  mirrors: string[]
  httpProxy: string
  noProxy: string
}

export type DockerState =
  | { state: 'answers'; socket: string; info: DockerInfo }
  | { state: 'absent' | 'forbidden' | 'silent'; socket: string }

const answerMs = 5_000
const maxAnswerBytes = 4 * 1024 * 1024

export async function readDocker(socket: string, signal: AbortSignal): Promise<DockerState> {
  try {
    const body = await ask(socket, AbortSignal.any([signal, AbortSignal.timeout(answerMs)]))
    return { state: 'answers', socket, info: readInfo(body) }
  } catch (error) {
    if (isRefusal(error, 'ENOENT', 'ENOTDIR')) return { state: 'absent', socket }
    if (isRefusal(error, 'EACCES', 'EPERM')) return { state: 'forbidden', socket }
    if (error instanceof Error) return { state: 'silent', socket }
    throw error
  }
}

function ask(socketPath: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/info', signal }, (response) => {
      readText(response).then(resolve, reject)
    })
    call.once('error', reject)
    call.end()
  })
}

async function readText(response: IncomingMessage): Promise<string> {
  const body = await readUpTo(response, maxAnswerBytes)
  if (body === undefined) throw new Error(`docker answered with more than ${maxAnswerBytes} bytes`)
  return body.toString('utf8')
}

/** Throws for an answer that is not JSON: whatever listens there is no dockerd. */
function readInfo(text: string): DockerInfo {
  const { ServerVersion, HttpProxy, NoProxy, RegistryConfig } = JSON.parse(text) as Record<string, unknown>
  const { Mirrors = [] } = (RegistryConfig ?? {}) as { Mirrors?: unknown }
  return {
    version: textOf(ServerVersion) || 'of an unknown version',
    mirrors: Array.isArray(Mirrors) ? Mirrors.map(textOf) : [],
    httpProxy: textOf(HttpProxy),
    noProxy: textOf(NoProxy),
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
