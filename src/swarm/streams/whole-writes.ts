/**
 * Hands a socket at once what libp2p sends at once. By itself it gives it each message in two pieces, its length and the rest, and a
 * socket that does not wait for more makes a system call and a packet of each, which may wake the other side twice.
 */
import { Writable } from 'node:stream'

interface Sending {
  sendData(data: Iterable<Uint8Array>): { sentBytes: number; canSendMore: boolean }
}

/** For the connection that a transport has made; any other is left as it is. */
export function writeWhole(connection: object): void {
  const socket: unknown = Reflect.get(connection, 'socket')
  if (!(socket instanceof Writable) || !isSending(connection)) return
  const sendData = connection.sendData.bind(connection)
  connection.sendData = (data) => {
    socket.cork()
    try {
      return sendData(data)
    } finally {
      socket.uncork()
    }
  }
}

function isSending(connection: object): connection is Sending {
  return typeof (connection as Partial<Sending>).sendData === 'function'
}
