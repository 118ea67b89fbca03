/** Pushes of small new blobs over kept connections in a process of its own, by plain sockets: a client's own cost is part of what is measured. */
import { hash, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { runCommand } from './command.ts'
import { AnswerError } from './request.ts'

/** What follows the POST: one PUT with the body, as of containerd, or a PATCH with it and an empty PUT, as of docker and skopeo. */
export type PushShape = 'put' | 'patch'

export interface PushTarget {
  /** `http://HOST:PORT` */
  url: string
  repository: string
  shape: PushShape
  bytes: number
  clients: number
  seconds: number
}

/** Resolves to blobs acknowledged in a second. Throws `COMMAND_FAILED` when an answer was another than a registry's, or a connection broke. */
export async function runPushLoad(target: PushTarget, { signal }: { signal: AbortSignal }): Promise<number> {
  const file = path.join(import.meta.dirname, 'push-load.ts')
  const { stdout } = await runCommand(process.execPath, [file, JSON.stringify(target)], { signal })
  return Number(stdout)
}

interface Head {
  status: number
  location: string
}

/** One request after the other on one connection. */
class Connection {
  readonly #host: string
  readonly #socket: Socket
  #received = ''
  #answer: PromiseWithResolvers<Head> | undefined

  constructor(url: string) {
    const { hostname, port, host } = new URL(url)
    this.#host = host
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true })
    this.#socket.setEncoding('latin1')
    const fail = (error: Error) => this.#answer?.reject(error)
    this.#socket.on('data', (text: string) => this.#read(text)).on('error', fail)
    this.#socket.on('end', () => fail(new AnswerError('the registry closed a kept connection')))
  }

  ask(method: string, target: string, body?: Buffer): Promise<Head> {
    this.#answer = Promise.withResolvers()
    const type = body === undefined ? '' : 'Content-Type: application/octet-stream\r\n'
    const head = `${method} ${target} HTTP/1.1\r\nHost: ${this.#host}\r\n${type}Content-Length: ${body?.length ?? 0}\r\n\r\n`
    const bytes = Buffer.from(head, 'latin1')
    this.#socket.write(body === undefined ? bytes : Buffer.concat([bytes, body]))
    return this.#answer.promise
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(text: string): void {
    this.#received += text
    const end = this.#received.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = this.#received.slice(0, end)
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
    if (this.#received.length < end + 4 + length) return
    const location = /^location: *(?:https?:\/\/[^/]+)?(\/.*)$/im.exec(head)?.[1] ?? ''
    const status = Number(head.slice(9, 12))
    this.#received = ''
    this.#answer?.resolve({ status, location })
  }
}

async function pushUntil(target: PushTarget, endMs: number): Promise<number> {
  const connection = new Connection(target.url)
  const content = randomBytes(target.bytes)
  let pushes = 0
  while (performance.now() < endMs) {
    randomBytes(16).copy(content)
    const digest = `sha256:${hash('sha256', content)}`
    const session = await expected(202, connection.ask('POST', `/v2/${target.repository}/blobs/uploads/`))
    const isPatch = target.shape === 'patch'
    const upload = isPatch ? await expected(202, connection.ask('PATCH', session, content)) : session
    const finish = `${upload}${upload.includes('?') ? '&' : '?'}digest=${digest}`
    await expected(201, connection.ask('PUT', finish, isPatch ? undefined : content))
    pushes += 1
  }
  connection.close()
  return pushes
}

async function expected(wanted: number, answer: Promise<Head>): Promise<string> {
  const { status, location } = await answer
  if (status === wanted) return location
  throw new AnswerError(`a push was answered with ${status}, expected ${wanted}`)
}

async function load(target: PushTarget): Promise<number> {
  const startedMs = performance.now()
  const endMs = startedMs + target.seconds * 1000
  const counts = await Promise.all(Array.from({ length: target.clients }, () => pushUntil(target, endMs)))
  const pushes = counts.reduce((sum, count) => sum + count, 0)
  return pushes / ((performance.now() - startedMs) / 1000)
}

if (import.meta.main) {
  const target = JSON.parse(process.argv[2] ?? '') as PushTarget
  process.stdout.write(String(await load(target)))
}
