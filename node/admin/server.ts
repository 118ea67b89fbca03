/** The running node's end of the admin socket. */
import { chmod, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { CodedError, type Logger, logFailure, steadyClock, untilOrAfter } from '../../src/base/base.ts'
import { BodyWatch, holdBody } from '../../src/http/http.ts'
import { createServer } from '../node-http.ts'
import { peersIn } from '../peer-names.ts'
import type { ContentHandler } from './content-server.ts'
import { type AdminLine, type Answerer, answererPath, socketPath } from './protocol.ts'

/** Runs one operation; throws a CodedError for what the caller should read. */
export type OperationRunner = (
  name: string,
  params: unknown,
  emit: (event: unknown) => void,
  options: { signal: AbortSignal },
) => Promise<unknown>

/** A manifest of the largest size fits, in Base64. */
const maxParamsBytes = 8 * 1024 * 1024

/** What does not end for so long after it was told to is left alone. */
const endMs = 1_000

export interface AdminServerOptions {
  answerContent: ContentHandler
  /** What hosts are called, for who reads of them in an error. */
  call?(peers: string[]): Record<string, string>
  answerer?: Answerer
}

/** Listens until it is disposed of. Whoever may open the socket may do everything; its mode and its folder's see to that. */
export async function openAdminServer(
  dataDirectory: string,
  runOperation: OperationRunner,
  logger: Logger,
  { answerContent, call = () => ({}), answerer = 'node' }: AdminServerOptions,
): Promise<AsyncDisposable> {
  const path = socketPath(dataDirectory)
  // The data directory is this process's own while it holds the database, so an old socket is a dead one's.
  await rm(path, { force: true })
  // An archive's blob may take longer to read than Node lets a request take.
  const bodies = new BodyWatch()
  const underWay = new Set<Promise<void>>()
  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    const answering = async (): Promise<void> => {
      if (request.url === answererPath) response.end(answerer)
      else if (!(await answerContent(request, response)))
        await answer(request, response, { runOperation, bodies, logger, call })
    }
    const answered = answering()
      .catch((error: unknown) => {
        logFailure(logger, error, 'admin request failed', { url: request.url })
        response.destroy()
      })
      .finally(() => underWay.delete(answered))
    underWay.add(answered)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(path, () => resolve())
  })
  await chmod(path, 0o600)
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      // Their signals have aborted with their connections, and what they work with is closed next.
      const ended = Promise.allSettled(underWay).then(() => undefined)
      await untilOrAfter(ended, endMs, { clock: steadyClock })
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  {
    runOperation,
    bodies,
    logger,
    call,
  }: { runOperation: OperationRunner; bodies: BodyWatch; logger: Logger } & Required<
    Pick<AdminServerOptions, 'call'>
  >,
): Promise<void> {
  const controller = new AbortController()
  response.once('close', () => controller.abort(new Error('the command went away')))
  const write = (line: AdminLine) => void response.write(`${JSON.stringify(line)}\n`)
  const name = /^\/operations\/([a-z-]+)$/.exec(request.url ?? '')?.[1]
  if (request.method !== 'POST' || name === undefined) {
    response.writeHead(404).end()
    return
  }
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson' })
  try {
    const params = await readParams(request, bodies)
    const emit = (event: unknown) => write({ event })
    write({ result: await runOperation(name, params, emit, { signal: controller.signal }) })
  } catch (error) {
    // Nobody is left to be told, and an operation that was stopped for that has not failed.
    if (error === controller.signal.reason) return
    const { code, message } = error instanceof CodedError ? error : failureOf(error)
    const called = call(peersIn(message))
    write({ error: { code, message, ...(Object.keys(called).length === 0 ? {} : { called }) } })
    if (!(error instanceof CodedError)) logFailure(logger, error, 'an operation failed', { operation: name })
  }
  response.end()
}

function failureOf(error: unknown): { code: string; message: string } {
  const why = error instanceof Error ? error.message : String(error)
  return { code: 'OPERATION_FAILED', message: `the node failed at it: ${why}` }
}

async function readParams(request: IncomingMessage, bodies: BodyWatch): Promise<unknown> {
  using body = await holdBody(request, maxParamsBytes, bodies)
  if (body === undefined) throw new Error(`the parameters are larger than ${maxParamsBytes} bytes`)
  return JSON.parse(body.bytes.toString('utf8'))
}
