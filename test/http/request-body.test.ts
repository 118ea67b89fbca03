/** How far requests' bodies are read ahead, however small their chunks, and however many there are. */
import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { BodyWatch } from '../../src/http/body-watch.ts'
import { RequestBody } from '../../src/http/request-body.ts'

interface Sender extends EventEmitter {
  isPaused: boolean
}

function sender(): Sender {
  const request = Object.assign(new EventEmitter(), {
    destroyed: false,
    headers: {},
    isPaused: false,
    pause: () => {
      request.isPaused = true
    },
    resume: () => {
      request.isPaused = false
    },
  })
  return request
}

function bodyOf(request: Sender, watch: BodyWatch): RequestBody {
  return new RequestBody(request as unknown as IncomingMessage, watch, 'streamed')
}

it('a body of single bytes is read ahead no further than its memory is worth', async () => {
  const request = sender()
  const body = bodyOf(request, new BodyWatch())
  let chunks = 0
  while (!request.isPaused && chunks < 512 * 1024) {
    request.emit('data', Buffer.of(1))
    chunks++
  }
  expect(chunks).toBeLessThan(8192)
  for (let at = 0; at < chunks; at++) expect((await body.next()).value).toHaveLength(1)
  expect(request.isPaused).toBe(false)
})

it('bodies that wait for the disk share what they are read ahead, however many there are', async () => {
  const watch = new BodyWatch()
  const chunk = Buffer.alloc(64 * 1024)
  const senders = Array.from({ length: 1000 }, sender)
  const bodies = senders.map((request) => bodyOf(request, watch))
  let bytes = 0
  for (const request of senders) {
    for (; !request.isPaused; bytes += chunk.length) request.emit('data', chunk)
  }
  expect(bytes).toBeLessThanOrEqual(1000 * chunk.length)
  for (const [at, body] of bodies.entries()) {
    await body.next()
    expect(senders[at]?.isPaused).toBe(false)
  }
})

it('one alone is read far ahead', () => {
  const request = sender()
  using _body = bodyOf(request, new BodyWatch())
  let bytes = 0
  for (; !request.isPaused; bytes += 64 * 1024) request.emit('data', Buffer.alloc(64 * 1024))
  expect(bytes).toBeGreaterThanOrEqual(512 * 1024)
})

it('pieces of what was read at once are there without waiting, and in order', async () => {
  const request = sender()
  using body = bodyOf(request, new BodyWatch())
  const first = body.next()
  for (const piece of ['a', 'b', 'c']) request.emit('data', Buffer.from(piece))
  expect(body.takeQueued()?.toString()).toBe('b')
  expect((await first).value?.toString()).toBe('a')
  expect((await body.next()).value?.toString()).toBe('c')
  expect(body.takeQueued()).toBeUndefined()
})
