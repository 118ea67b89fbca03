/** An HTTP proxy of tests: everything that is asked of it is answered by one upstream, under whatever name. */
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FakeUpstream } from './fake-upstream.ts'

export interface FakeProxy extends AsyncDisposable {
  readonly url: string
  /** What it was to connect to, or to fetch. */
  readonly asked: string[]
}

export async function openFakeProxy(upstream: FakeUpstream): Promise<FakeProxy> {
  const asked: string[] = []
  const open: Duplex[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    upstream.serve(request, response)
  })
  server.on('connect', ({ url = '' }, client) => {
    asked.push(url)
    const socket = connect(Number(upstream.url.port), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(client).pipe(socket)
    })
    open.push(socket, client)
    // Each end goes with the other.
    client.on('error', () => socket.destroy())
    socket.on('error', () => client.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
