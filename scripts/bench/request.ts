/** One small HTTP request, for everything but the bytes that are timed. */
import http from 'node:http'
import { CodedError } from '../../src/base/base.ts'

export class AnswerError extends CodedError {
  readonly code = 'UNEXPECTED_ANSWER'
}

export interface Answer {
  status: number
  headers: http.IncomingHttpHeaders
  body: Buffer
}

export interface RequestOptions {
  method?: string
  headers?: Record<string, string>
  body?: Uint8Array
  /** Without one, the connection closes after the answer, so that a stopping registry waits for nobody. */
  agent?: http.Agent
  signal: AbortSignal
}

export function request(url: string, options: RequestOptions): Promise<Answer> {
  const { method = 'GET', headers = {}, body, agent, signal } = options
  return new Promise((resolve, reject) => {
    const length = method === 'GET' ? {} : { 'content-length': String(body?.length ?? 0) }
    const outgoing = http.request(url, {
      method,
      headers: { ...length, ...headers },
      agent: agent ?? false,
      signal,
    })
    outgoing.once('error', reject)
    outgoing.once('response', (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.once('error', reject)
      incoming.once('end', () => {
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) })
      })
    })
    outgoing.end(body)
  })
}

/** Throws `UNEXPECTED_ANSWER` unless the status is the one given. */
export async function expectStatus(status: number, url: string, options: RequestOptions): Promise<Answer> {
  const answer = await request(url, options)
  if (answer.status === status) return answer
  const said = answer.body.toString('utf8').slice(0, 500)
  throw new AnswerError(
    `${options.method ?? 'GET'} ${url} answered ${answer.status}, expected ${status}: ${said}`,
  )
}
