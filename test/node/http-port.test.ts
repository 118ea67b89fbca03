import { once } from 'node:events'
import { Agent, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ListenError, openHttpPort } from '../../node/http-port.ts'

const anyPort = { host: '127.0.0.1', port: 0 }

function ask(
  address: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`http://${address}${path}`, { agent: false, headers }, (incoming) => {
      let body = ''
      incoming.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      incoming.once('end', () => resolve({ status: incoming.statusCode ?? 0, body }))
    })
    outgoing.once('error', reject).end()
  })
}

describe('the registry’s port', () => {
  it('says which API it speaks before there is a registry', async () => {
    await using port = await openHttpPort(anyPort)
    expect(await ask(port.address, '/v2/')).toEqual({ status: 200, body: '{}' })
  })

  it('keeps from saying so to who takes that for whether it has to sign in', async () => {
    await using port = await openHttpPort(anyPort)
    const early = ask(port.address, '/v2/', { 'User-Agent': 'docker/26.1.5' })
    // Answered after the other has arrived, as connections are accepted in order.
    expect(await ask(port.address, '/v2/')).toMatchObject({ status: 200 })
    port.serve((_request, response) => response.writeHead(401).end())
    expect(await early).toMatchObject({ status: 401 })
  })

  it('keeps every other request until it can be answered', async () => {
    await using port = await openHttpPort(anyPort)
    const early = [ask(port.address, '/v2/a/tags/list'), ask(port.address, '/readyz')]
    // Answered after the others have arrived, as connections are accepted in order.
    await ask(port.address, '/v2/')
    port.serve((incoming, response) => response.end(`answer to ${incoming.url}`))
    const bodies = (await Promise.all(early)).map(({ body }) => body)
    expect(bodies).toEqual(['answer to /v2/a/tags/list', 'answer to /readyz'])
    expect((await ask(port.address, '/later')).body).toBe('answer to /later')
  })

  it('cuts those who wait when the start fails', async () => {
    const port = await openHttpPort(anyPort)
    const early = ask(port.address, '/v2/_catalog')
    early.catch(() => undefined)
    await ask(port.address, '/v2/')
    await port[Symbol.asyncDispose]()
    await expect(early).rejects.toThrow('socket hang up')
  })

  it('does not end before what answers has, also when the client left', async () => {
    const port = await openHttpPort(anyPort)
    const began = Promise.withResolvers<void>()
    const order: string[] = []
    port.serve(async (_incoming, response) => {
      began.resolve()
      await once(response, 'close')
      for (let turn = 0; turn < 1000; turn++) await new Promise((resolve) => setImmediate(resolve))
      order.push('the answer')
    })
    const leaving = request(`http://${port.address}/v2/a/tags/list`, { agent: false })
    leaving.once('error', () => undefined).end()
    await began.promise
    leaving.destroy()
    await port[Symbol.asyncDispose]()
    order.push('the port')
    expect(order).toEqual(['the answer', 'the port'])
  })

  it('says which flag to change when the port is taken', async () => {
    await using port = await openHttpPort(anyPort)
    const taken = { host: '127.0.0.1', port: Number(port.address.split(':').at(-1)) }
    await expect(openHttpPort(taken)).rejects.toThrow(ListenError)
    await expect(openHttpPort(taken)).rejects.toThrow(
      'is in use by another process; choose another with --http',
    )
  })
})

describe('connections that bring nothing', () => {
  function open(address: string, text = ''): { socket: Socket; answer: Promise<string> } {
    const [host = '', port] = address.split(':')
    const socket = connect(Number(port), host, () => socket.write(text))
    let answer = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      answer += chunk
    })
    socket.on('error', () => undefined)
    return { socket, answer: once(socket, 'close').then(() => answer) }
  }

  it.each(['', 'GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: '])(
    'are ended when their head does not come: %j',
    async (text) => {
      await using port = await openHttpPort(anyPort, { headersMs: 50, checkMs: 10 })
      port.serve((_incoming, response) => response.end('answer'))
      expect(await open(port.address, text).answer).toMatch(/^HTTP\/1.1 408 /)
    },
  )

  it('stay open for a thousand clients, which ask again on them', async () => {
    await using port = await openHttpPort(anyPort)
    port.serve((_request, response) => response.end('ok'))
    const agent = new Agent({ keepAlive: true, maxSockets: 1000, maxFreeSockets: 1000 })
    const sockets = new Set<Socket>()
    const all = async (): Promise<void> => {
      const asking = Array.from({ length: 1000 }, async () => {
        const outgoing = request(`http://${port.address}/v2/`, { agent })
        const [socket] = (await once(outgoing.end(), 'socket')) as [Socket]
        sockets.add(socket)
        const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
        await once(answer.resume(), 'end')
      })
      await Promise.all(asking)
    }
    try {
      await all()
      await all()
      expect(sockets.size).toBe(1000)
    } finally {
      agent.destroy()
    }
  })

  it('make room for those that do, and not one that is answered meanwhile', async () => {
    await using port = await openHttpPort(anyPort, { maxConnections: 8 })
    const asked = Promise.withResolvers<ServerResponse>()
    port.serve((incoming, response) => {
      if (incoming.url === '/slow') asked.resolve(response)
      else response.end('answer')
    })
    const slow = ask(port.address, '/slow')
    const answering = await asked.promise
    const silent: Socket[] = []
    for (let connection = 0; connection < 30; connection++) {
      const { socket } = open(port.address)
      await once(socket, 'connect')
      silent.push(socket)
    }
    expect((await ask(port.address, '/')).body).toBe('answer')
    answering.end('late')
    expect((await slow).body).toBe('late')
    for (const socket of silent) socket.destroy()
  })
})
