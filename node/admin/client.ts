/** A command's end of the admin socket. */
import { request } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { CodedError } from '../../src/base/base.ts'
import { findOwner } from '../owner.ts'
import { type AdminLine, socketPath } from './protocol.ts'

/** What the running node refused, or failed at, with its code and words. */
export class OperationError extends CodedError {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** The node's socket belongs to another user. */
export class SocketForbiddenError extends CodedError {
  readonly code = 'SOCKET_FORBIDDEN'
}

/** Returns `undefined` when no node runs on that data directory. */
export async function callRunningNode(
  dataDirectory: string,
  name: string,
  params: unknown,
  onEvent: (event: unknown) => void,
): Promise<{ result: unknown } | undefined> {
  const lines = await openAnswer(socketPath(dataDirectory), name, params)
  if (lines === undefined) return undefined
  for await (const line of createInterface({ input: lines })) {
    const message = JSON.parse(line) as AdminLine
    if ('event' in message) onEvent(message.event)
    else if ('error' in message) throw new OperationError(message.error.code, message.error.message)
    else return message
  }
  throw new OperationError('NODE_GONE', 'the node stopped before it had finished; its log says why')
}

function openAnswer(path: string, name: string, params: unknown): Promise<NodeJS.ReadableStream | undefined> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: path, path: `/operations/${name}`, method: 'POST' }, resolve)
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (isNobody(error)) resolve(undefined)
      else if (error.code === 'EACCES' || error.code === 'EPERM') reject(forbidden(path, error))
      else reject(error)
    })
    call.end(JSON.stringify(params))
  })
}

/** Whether a node runs on that data directory. */
export function runningNodeAnswers(dataDirectory: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath(dataDirectory), () => {
      socket.end()
      resolve(true)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (isNobody(error)) resolve(false)
      else reject(error)
    })
  })
}

/** No socket, or one that a killed node left behind. */
function isNobody({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ENOENT' || code === 'ECONNREFUSED'
}
function forbidden(path: string, cause: Error): SocketForbiddenError {
  const owner = findOwner(path) ?? findOwner(dirname(path))
  const remedy =
    owner === undefined
      ? 'run this as the user that the node runs as'
      : `it belongs to ${owner}: run this as that user, such as with sudo -u ${owner}`
  return new SocketForbiddenError(`the node's socket ${path} may not be opened by this user; ${remedy}`, {
    cause,
  })
}
