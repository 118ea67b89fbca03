/** A receiver of JSON on a real port, that does what a test tells it to. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  headers: IncomingHttpHeaders
  path: string
  body: unknown
}

export interface Receiver extends AsyncDisposable {
  readonly url: URL
  readonly received: Received[]
  /** Resolves when so many requests have come. */
  requests(count: number): Promise<void>
  /** How it answers from now on; at first with 200. */
  answer(how: (response: ServerResponse) => void): void
}

export async function openReceiver(path = '/hook?key=secret'): Promise<Receiver> {
  const received: Received[] = []
  let answer = (response: ServerResponse): void => void response.end()
  let change = Promise.withResolvers<void>()
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
    received.push({ headers: request.headers, path: request.url ?? '', body })
    answer(response)
    change.resolve()
    change = Promise.withResolvers()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: new URL(path, `http://127.0.0.1:${port}`),
    received,
    async requests(count) {
      while (received.length < count) await change.promise
    },
    answer(how) {
      answer = how
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      if (server.listening) await once(server, 'close')
    },
  }
}
