/**
 * Hands a socket at once what libp2p sends at once. By itself it gives it each message in two pieces, its length and the rest, and a
 * socket that does not wait for more makes a system call and a packet of each, which wakes the other side twice.
 */
import { Writable } from 'node:stream'

interface Sending {
  sendData(data: Iterable<Uint8Array>): { sentBytes: number; canSendMore: boolean }
  sendReset(error: Error): void
}

/** For the connection that a transport has made; any other is left as it is. */
export function writeWhole(connection: object): void {
  const socket: unknown = Reflect.get(connection, 'socket')
  if (!(socket instanceof Writable) || !isSending(connection)) return
  const sendData = connection.sendData.bind(connection)
  const sendReset = connection.sendReset.bind(connection)
  let isHeld = false

  const release = (): void => {
    if (!isHeld) return
    isHeld = false
    socket.uncork()
  }

  connection.sendData = (data) => {
    if (!isHeld) {
      isHeld = true
      socket.cork()
      process.nextTick(release)
    }
    return sendData(data)
  }
  // What was sent before goes out before the end, as it did.
  connection.sendReset = (error) => {
    release()
    sendReset(error)
  }
}

function isSending(connection: object): connection is Sending {
  const { sendData, sendReset } = connection as Partial<Sending>
  return typeof sendData === 'function' && typeof sendReset === 'function'
}
