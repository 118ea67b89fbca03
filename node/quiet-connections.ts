/** Connections on which nothing is asked now: when there are too many in all, the one quiet for longest makes room. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** `carrierOf` gives the connection that a request's socket is on, where that is another: TLS has one of its own. */
export function makeRoomFromQuiet(
  server: Server,
  maxConnections: number,
  carrierOf: (socket: Socket) => Socket = (socket) => socket,
): void {
  const quiet = new Set<Socket>()
  let connections = 0
  server.on('connection', (socket) => {
    connections++
    quiet.add(socket)
    socket.once('close', () => {
      connections--
      quiet.delete(socket)
    })
    if (connections < maxConnections) return
    const [oldest] = quiet
    oldest?.destroy()
  })
  server.on('request', (request, response) => {
    const socket = carrierOf(request.socket)
    quiet.delete(socket)
    response.once('close', () => {
      if (!socket.destroyed) quiet.add(socket)
    })
  })
}
