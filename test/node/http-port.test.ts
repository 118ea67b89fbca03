import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { ListenError, openHttpPort } from '../../node/http-port.ts'

const anyPort = { host: '127.0.0.1', port: 0 }

function ask(address: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`http://${address}${path}`, { agent: false }, (incoming) => {
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

  it('says which flag to change when the port is taken', async () => {
    await using port = await openHttpPort(anyPort)
    const taken = { host: '127.0.0.1', port: Number(port.address.split(':').at(-1)) }
    await expect(openHttpPort(taken)).rejects.toThrow(ListenError)
    await expect(openHttpPort(taken)).rejects.toThrow(
      'is in use by another process; choose another with --http',
    )
  })
})
