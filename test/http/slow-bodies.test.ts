/** Clients that send slowly or not at all, over real connections: they hold little, are told, and others are served. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { BodyWatch } from '../../src/http/body-watch.ts'
import { digestBytes } from '../../src/oci/oci.ts'
import { type Api, openApi } from './harness.ts'

const kib = 1024
let nowMs = 0
let api: Api
let bodies: BodyWatch
const sockets: Socket[] = []

beforeEach(async () => {
  bodies = new BodyWatch({
    limits: { budgetBytes: 4096 * kib },
    nowMs: () => nowMs,
    everySecond: () => () => undefined,
  })
  api = await openApi({ bodies })
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await api[Symbol.asyncDispose]()
})

/** Sends the head and the beginning of a body, and no more; what it is answered is collected. */
function stall(method: string, path: string, lengthBytes: number, sentBytes: number) {
  const socket = connect(api.port, '127.0.0.1')
  sockets.push(socket)
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  socket.on('error', () => undefined)
  socket.write(`${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${lengthBytes}\r\n\r\n`)
  socket.write(Buffer.alloc(sentBytes, ' '))
  return {
    socket,
    /** All that was answered until the connection was closed. */
    async answer(): Promise<string> {
      if (!socket.closed) await once(socket, 'close')
      return text
    },
  }
}

/** Requests are answered in turn, so after some of them what came before has arrived. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await api.call('GET', '/v2/')
}

it('answers a manifest that stalls with 408, and closes the connection', async () => {
  const { answer } = stall('PUT', '/v2/team/app/manifests/1', 1000, 10)
  await until(() => bodies.size === 1)
  nowMs += 31_000
  bodies.tick()
  const text = await answer()
  expect(text).toMatch(/^HTTP\/1.1 408 /)
  expect(text).toMatch(/\r\nConnection: close\r\n/i)
  expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '')).toMatchObject({ errors: [{ code: 'UNAVAILABLE' }] })
})

it('holds no more than its budget of manifests that stall, and serves others meanwhile', async () => {
  const stalled = Array.from({ length: 64 }, (_, at) =>
    stall('PUT', `/v2/flood/${at}/manifests/1`, 4096 * kib, 100 * kib),
  )
  await until(() => bodies.size === 64 && bodies.heldBytes >= 4096 * kib)
  const image = await api.pushImage('team/app', '1')
  expect(bodies.heldBytes).toBeLessThan((4096 + 4096) * kib)
  // One that needs more than what each has for nothing waits for its turn.
  const large = Buffer.from(
    JSON.stringify({ ...JSON.parse(image.bytes.toString()), annotations: { x: 'x'.repeat(900 * kib) } }),
  )
  const pushed = api.call('PUT', '/v2/team/app/manifests/large', {
    headers: { 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' },
    body: large,
  })
  let isPushed = false
  const answered = pushed.finally(() => {
    isPushed = true
  })
  for (let turns = 0; !isPushed; turns++) {
    await api.call('GET', '/v2/')
    // So slow that who sends at all has sent it all by then.
    if (turns % 8 !== 7) continue
    nowMs += 1000
    bodies.tick()
  }
  expect((await answered).status).toBe(201)
  const [first] = stalled
  expect(await first?.answer()).toMatch(/^HTTP\/1.1 408 /)
  expect((await api.call('GET', '/v2/team/app/manifests/large')).body.length).toBe(large.length)
})

it('lets a layer pause for minutes between two parts, and ends one that never goes on', async () => {
  const locations = await Promise.all(
    ['a', 'b'].map(
      async () => (await api.call('POST', '/v2/team/app/blobs/uploads/')).headers.location ?? '',
    ),
  )
  const [pausing, stalled] = locations.map((location) => stall('PATCH', location, 20, 10))
  for (const location of locations) while ((await api.call('GET', location)).headers.range !== '0-9');
  nowMs += 500_000
  bodies.tick()
  pausing?.socket.write(Buffer.alloc(10, ' '))
  await until(() => bodies.size === 1)
  nowMs += 200_000
  bodies.tick()
  expect(await stalled?.answer()).toMatch(/^HTTP\/1.1 408 /)
  const digest = digestBytes(Buffer.alloc(20, ' '))
  expect((await api.call('PUT', `${locations[0]}?digest=${digest}`)).status).toBe(201)
  expect((await api.call('GET', locations[1] ?? '')).headers.range).toBe('0-9')
})
