/**
 * What Node has beneath a socket and shows to nobody. Where a version of it lacks what is used here, sockets are read as any
 * other stream, at twice the cost.
 */
import type { Duplex } from 'node:stream'

interface Handle {
  reading: boolean
  readStart(): number
  readStop(): number
  useUserBuffer?(memory: Uint8Array): void
}

/** As much as is read at once. One byte is not lent: who has memory to itself may let go of it. */
const lentBytes = 64 * 1024
const lent = new Uint8Array(new ArrayBuffer(lentBytes + 1), 0, lentBytes)

/** `undefined` for what is no socket. */
export function handleOf(socket: Duplex & { _handle?: Partial<Handle> | null }): Handle | undefined {
  const handle = socket._handle
  return typeof handle?.readStart === 'function' && typeof handle.readStop === 'function'
    ? (handle as Handle)
    : undefined
}

/**
 * Has what comes read into memory that is used again, as `onread` has for a socket that Node connects: new memory and the stream's
 * machinery for each TLS record of 16 KiB cost more than decrypting it. `take` gets the bytes at once, and may keep none of them.
 * `end` and `pause()` work as ever. False, and nothing was done, where that is not to be had.
 */
export function lendMemory(socket: Duplex, take: (bytes: Uint8Array) => void): boolean {
  const handle = handleOf(socket)
  const [memory, callback] = [keyOf(socket, 'kBuffer'), keyOf(socket, 'kBufferCb')]
  if (handle?.useUserBuffer === undefined || memory === undefined || callback === undefined) return false
  Reflect.set(socket, memory, lent)
  Reflect.set(socket, callback, (bytes: number) => take(lent.subarray(0, bytes)))
  handle.useUserBuffer(lent)
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) take(chunk)
  // Where that was too much already: `read` has begun to read again.
  if (socket.isPaused()) socket.pause()
  return true
}

/** Of a property that the socket has, and has nothing in. */
function keyOf(socket: Duplex, name: string): symbol | undefined {
  const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === name)
  return key !== undefined && Reflect.get(socket, key) === null ? key : undefined
}
