/** A token server that tells a test what it was asked, and answers what the test wants. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface TokenRequest {
  method: string
  query: URLSearchParams
  form: URLSearchParams
  headers: IncomingHttpHeaders
}

export interface FakeTokenServer extends AsyncDisposable {
  /** For the challenge; `host` is the name that it goes by. */
  realm(host?: string): string
  readonly asked: TokenRequest[]
  /** The answer to each request; by default a new token each time, `t1`, `t2` and so on. */
  answer: (request: TokenRequest) => { status: number; body: string }
}

export async function openFakeTokenServer(): Promise<FakeTokenServer> {
  const asked: TokenRequest[] = []
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString()
    const { method = '', headers, url = '' } = request
    const query = new URL(url, 'http://token.invalid').searchParams
    const seen = { method, query, form: new URLSearchParams(body), headers }
    asked.push(seen)
    const answer = fake.answer(seen)
    response.writeHead(answer.status).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const fake: FakeTokenServer = {
    realm: (host = '127.0.0.1') => `http://${host}:${port}/token`,
    asked,
    answer: () => ({ status: 200, body: JSON.stringify({ token: `t${asked.length}`, expires_in: 300 }) }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return fake
}
