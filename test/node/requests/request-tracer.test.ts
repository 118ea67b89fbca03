import type { IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { createRequestTracer, type FinishedRequest } from '../../../node/requests/request-tracer.ts'
import { silentLogger } from '../../../src/base/base.ts'

it('remembers where a request came from, also when the client closes its connection once it is answered', () => {
  const told: FinishedRequest[] = []
  const socket: { remoteAddress: string | undefined } = { remoteAddress: '192.0.2.1' }
  const tracer = createRequestTracer([(finished) => told.push(finished)], silentLogger)
  // Of all that a request has, the tracer reads its socket.
  const trace = tracer.start({ socket } as unknown as IncomingMessage)
  socket.remoteAddress = undefined
  trace.end('blob', 200)
  expect(told[0]?.client).toBe('192.0.2.1')
})
