/** Clients that leave in the middle: nobody's fault here, and so no error in the log. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, it } from 'vitest'
import type { Tracer } from '../../src/base/base.ts'
import { openApi } from './harness.ts'

const clients = 5

function listen() {
  const lines: { level: string; fields: object; message: string }[] = []
  const level = (name: string) => (fields: object, message: string) => {
    lines.push({ level: name, fields, message })
  }
  const errors: unknown[] = []
  const allLeft = Promise.withResolvers<void>()
  const nothing = () => undefined
  const tracer: Tracer = {
    start: () => ({
      startMs: 0,
      stage: nothing,
      pulled: nothing,
      pushed: nothing,
      deleted: nothing,
      signedIn: nothing,
      end(_route, _status, error) {
        if (error !== undefined && errors.push(error) === clients) allLeft.resolve()
      },
    }),
  }
  const logger = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') }
  return { lines, errors, allLeft: allLeft.promise, options: { tracer, logger } }
}

it.each([
  ['PATCH', 'upload'],
  ['PUT', '/v2/team/app/manifests/1'],
])('is told as such, and logged as no error: %s %s', async (method, path) => {
  const told = listen()
  {
    await using api = await openApi(told.options)
    for (let client = 0; client < clients; client++) {
      const { headers } = await api.call('POST', '/v2/team/app/blobs/uploads/')
      const target = path === 'upload' ? headers.location : path
      const socket = connect(api.port, '127.0.0.1')
      socket.write(`${method} ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n`)
      socket.write('some bytes', () => (client % 2 === 0 ? socket.destroy() : socket.resetAndDestroy()))
      await once(socket, 'close')
    }
    await told.allLeft
  }
  expect(told.errors.map((error) => error instanceof Error && error.name)).toEqual(
    Array.from({ length: clients }, () => 'ClientGoneError'),
  )
  expect(told.lines.filter(({ level }) => level !== 'debug')).toEqual([])
})
