/** A command's end of the admin socket. */
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { CodedError } from '../../src/base/base.ts'
import { request } from '../node-http.ts'
import { findOwner } from '../owner.ts'
import { type AdminError, type AdminLine, type Answerer, answererPath, socketPath } from './protocol.ts'

/** What the running node refused, or failed at, with its code and words. */
export class OperationError extends CodedError {
  readonly code: string
  /** What the hosts in the message are called, by id. */
  readonly called: Readonly<Record<string, string>>

  constructor(
    code: string,
    message: string,
    options: { cause?: unknown; called?: Record<string, string> } = {},
  ) {
    super(message, options)
    this.code = code
    this.called = options.called ?? {}
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
  try {
    const lines = await openAnswer(socketPath(dataDirectory), name, params)
    if (lines === undefined) return undefined
    for await (const line of createInterface({ input: lines })) {
      const message = JSON.parse(line) as AdminLine
      if ('event' in message) onEvent(message.event)
      else if ('error' in message) throw operationError(message.error)
      else return message
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ECONNRESET')) throw error
    throw nodeGone(error)
  }
  throw nodeGone()
}

function operationError({ code, message, called = {} }: AdminError): OperationError {
  return new OperationError(code, message, { called })
}

function nodeGone(cause?: Error): OperationError {
  const message = 'the node stopped before it had finished; its log says why'
  return new OperationError('NODE_GONE', message, { cause })
}

function openAnswer(path: string, name: string, params: unknown): Promise<NodeJS.ReadableStream | undefined> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: path, path: `/operations/${name}`, method: 'POST' }, resolve)
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (isNobody(error)) resolve(undefined)
      else reject(explained(path, error))
    })
    call.end(JSON.stringify(params))
  })
}

/** Who has that data directory and a socket; `undefined` when nobody does. Throws SocketForbiddenError. */
export async function findAnswerer(dataDirectory: string): Promise<Answerer | undefined> {
  const path = socketPath(dataDirectory)
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage | undefined>()
  request({ socketPath: path, path: answererPath }, resolve)
    .on('error', (error: NodeJS.ErrnoException) => {
      if (isNobody(error) || error.code === 'ECONNRESET') resolve(undefined)
      else reject(explained(path, error))
    })
    .end()
  const answer = await promise
  return answer && ((await text(answer)) === 'command' ? 'command' : 'node')
}

/** Whether a node, or a command that is one for a while, has that data directory. Throws SocketForbiddenError. */
export function runningNodeAnswers(dataDirectory: string): Promise<boolean> {
  const path = socketPath(dataDirectory)
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.end()
      resolve(true)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (isNobody(error)) resolve(false)
      else reject(explained(path, error))
    })
  })
}

/** A node that starts has the database before it has the socket, and a command keeps it for as long as it takes. */
const lockedMs = 10_000
const lockedAgainMs = 50

/** Waits while another process that is about to be done, or to answer, has the data directory. Throws StoreLockedError. */
export async function onceUnlocked<T>(attempt: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + lockedMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const isLocked = error instanceof CodedError && error.code === 'STORE_LOCKED'
      if (!isLocked || performance.now() >= giveUpAt) throw error
    }
    await setTimeout(lockedAgainMs)
  }
}

/** No socket, or one that a killed node left behind. */
function isNobody({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ENOENT' || code === 'ECONNREFUSED'
}

function explained(path: string, cause: NodeJS.ErrnoException): Error {
  if (cause.code !== 'EACCES' && cause.code !== 'EPERM') return cause
  const owner = findOwner(path) ?? findOwner(dirname(path))
  const remedy =
    owner === undefined
      ? 'run this as the user that the node runs as'
      : `it belongs to ${owner}: run this as that user, such as with sudo -u ${owner}`
  return new SocketForbiddenError(`the node's socket ${path} may not be opened by this user; ${remedy}`, {
    cause,
  })
}
