/** How far a request's body is read ahead, however small its chunks are. */
import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { BodyWatch } from '../../src/http/body-watch.ts'
import { RequestBody } from '../../src/http/request-body.ts'

it('a body of single bytes is read ahead no further than its memory is worth', async () => {
  let isPaused = false
  const request = Object.assign(new EventEmitter(), {
    destroyed: false,
    headers: {},
    pause: () => (isPaused = true),
    resume: () => (isPaused = false),
  })
  const body = new RequestBody(request as unknown as IncomingMessage, new BodyWatch(), 'streamed')
  let chunks = 0
  while (!isPaused && chunks < 512 * 1024) {
    request.emit('data', Buffer.of(1))
    chunks++
  }
  expect(chunks).toBeLessThan(8192)
  for (let at = 0; at < chunks; at++) expect((await body.next()).value).toHaveLength(1)
  expect(isPaused).toBe(false)
})
