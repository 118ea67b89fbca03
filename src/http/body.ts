/** Request bodies: read whole within a limit, or left behind without hurting the connection's other half. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BodyWatch } from './body-watch.ts'
import { RequestBody } from './request-body.ts'

/** How much of an unwanted body is read so that its sender gets to see the answer. */
const maxDrainBytes = 4 * 1024 * 1024
const maxDrainMs = 5_000

/** The whole of a body. Until it is disposed of it counts as memory that bodies hold. */
export interface HeldBody extends Disposable {
  readonly bytes: Buffer
}

/** `undefined` as soon as it is known to be larger. Throws `REQUEST_TIMEOUT`, and ClientGoneError. */
export async function holdBody(
  request: IncomingMessage,
  maxBytes: number,
  watch: BodyWatch,
): Promise<HeldBody | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return undefined
  using disposables = new DisposableStack()
  const body = disposables.use(new RequestBody(request, watch, 'held'))
  let room: Buffer = Buffer.alloc(0)
  let length = 0
  for await (const chunk of body) {
    if (length + chunk.length > maxBytes) return undefined
    room = grown(room, length, length + chunk.length)
    room.set(chunk, length)
    length += chunk.length
  }
  const kept = disposables.move()
  return { bytes: room.subarray(0, length), [Symbol.dispose]: () => kept.dispose() }
}

/** Chunks are copied together as they come: one of a single byte would cost hundreds as an object of its own. */
function grown(room: Buffer, length: number, needed: number): Buffer {
  if (needed <= room.length) return room
  const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * length))
  larger.set(room.subarray(0, length))
  return larger
}

export function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
  )
}

/**
 * Call before answering a request whose body was not read. Closing at once would reset the connection before
 * the client has read the answer; reading on without a bound would let it send for ever.
 */
export function leaveBody(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete || request.destroyed) return
  response.setHeader('Connection', 'close')
  let drained = 0
  const stop = () => request.socket.destroy()
  const timer = setTimeout(stop, maxDrainMs)
  request.once('close', () => clearTimeout(timer))
  request.on('data', (chunk: Buffer) => {
    drained += chunk.length
    if (drained > maxDrainBytes) stop()
  })
  request.resume()
}
