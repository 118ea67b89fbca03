import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { callRunningNode } from '../../node/admin/client.ts'
import { socketPath } from '../../node/admin/protocol.ts'
import { type OperationRunner, openAdminServer } from '../../node/admin/server.ts'
import { silentLogger } from '../../src/base/base.ts'
import { StoreFullError } from '../../src/store/store.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-admin-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function callWith(run: OperationRunner): Promise<unknown> {
  await using _server = await openAdminServer(folder, run, silentLogger, { answerContent: async () => false })
  return await callRunningNode(folder, 'gc', {}, () => undefined)
}

it('tells a command why an operation failed, whatever failed', async () => {
  const full = callWith(async () => {
    throw new StoreFullError('the disk is full')
  })
  await expect(full).rejects.toMatchObject({ code: 'STORE_FULL', message: 'the disk is full' })
  const failed = callWith(async () => {
    throw new Error('IO error: 000003.log: No space left on device')
  })
  await expect(failed).rejects.toMatchObject({
    code: 'OPERATION_FAILED',
    message: 'the node failed at it: IO error: 000003.log: No space left on device',
  })
})

it('stops an operation whose command went away, and takes it for no error', async () => {
  const errors: unknown[] = []
  const logger = { ...silentLogger, error: (...line: unknown[]) => errors.push(line) }
  const began = Promise.withResolvers<void>()
  const stopped = Promise.withResolvers<void>()
  const run: OperationRunner = async (_name, _params, _emit, { signal }) => {
    began.resolve()
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    stopped.resolve()
    throw signal.reason
  }
  {
    await using _server = await openAdminServer(folder, run, logger, { answerContent: async () => false })
    const leaving = request({ socketPath: socketPath(folder), method: 'POST', path: '/operations/gc' })
    leaving.once('error', () => undefined).end('{}')
    await began.promise
    leaving.destroy()
    await stopped.promise
  }
  expect(errors).toEqual([])
})

it('does not end before an operation that was under way has', async () => {
  const began = Promise.withResolvers<void>()
  const order: string[] = []
  const run: OperationRunner = async (_name, _params, _emit, { signal }) => {
    began.resolve()
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
    order.push('the operation')
  }
  const server = await openAdminServer(folder, run, silentLogger, { answerContent: async () => false })
  const leaving = request({ socketPath: socketPath(folder), method: 'POST', path: '/operations/gc' })
  leaving.once('error', () => undefined).end('{}')
  await began.promise
  await server[Symbol.asyncDispose]()
  order.push('the server')
  expect(order).toEqual(['the operation', 'the server'])
})

it.each([
  ['before', (response: ServerResponse) => response.destroy()],
  [
    'in the middle of',
    (response: ServerResponse) => response.write('{"event":{}}\n', () => response.destroy()),
  ],
])('tells a command that the node went away %s an answer', async (_, leave) => {
  const server = createServer((_request, response) => void leave(response))
  await new Promise<void>((resolve) => server.listen(socketPath(folder), resolve))
  const call = callRunningNode(folder, 'gc', {}, () => undefined)
  await expect(call).rejects.toMatchObject({ code: 'NODE_GONE' })
  await new Promise((resolve) => server.close(resolve))
})
