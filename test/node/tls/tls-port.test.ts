import { once } from 'node:events'
import { type IncomingMessage, request as requestPlain } from 'node:http'
import { Agent, request as requestSecure } from 'node:https'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type HttpPort, type HttpPortOptions, openHttpPort } from '../../../node/http-port.ts'
import { getLocal } from '../../../node/local-request.ts'
import { type Authority, issue, openOwnAuthority } from '../../../node/tls/own-authority.ts'
import { openScratchFolder, type ScratchFolder } from '../../e2e/scratch-folder.ts'

let folder: ScratchFolder
let authority: Authority
beforeAll(async () => {
  folder = await openScratchFolder()
  authority = await openOwnAuthority(folder.path)
})
afterAll(() => folder[Symbol.asyncDispose]())

const dayMs = 24 * 3600_000
const pairFor = (...hosts: string[]) =>
  issue(authority, hosts, { fromMs: Date.now() - dayMs, untilMs: Date.now() + dayMs })
const open = (options: HttpPortOptions & { plain?: boolean } = {}): Promise<HttpPort> =>
  openHttpPort(
    { host: '127.0.0.1', port: 0 },
    { ...options, tls: { plainOnLoopback: options.plain ?? false } },
  )

type Answer = { status: number; body: string }

async function read(incoming: IncomingMessage): Promise<Answer> {
  let body = ''
  for await (const text of incoming.setEncoding('utf8')) body += text
  return { status: incoming.statusCode ?? 0, body }
}

async function ask(
  scheme: 'http' | 'https',
  { address }: HttpPort,
  path = '/',
  { agent = false, body }: { agent?: Agent | false; body?: Buffer } = {},
): Promise<Answer> {
  const url = `${scheme}://${address}${path}`
  const method = body === undefined ? 'GET' : 'PUT'
  const outgoing =
    scheme === 'http'
      ? requestPlain(url, { agent: false, method })
      : requestSecure(url, { agent, method, ca: authority.certificate })
  outgoing.end(body)
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  return await read(incoming)
}

function answers(port: HttpPort): void {
  port.serve(async (request, response) => {
    let bytes = 0
    for await (const chunk of request) bytes += (chunk as Buffer).length
    response.end(`${'encrypted' in request.socket ? 'TLS' : 'plain'} ${request.url} ${bytes}`)
  })
}

describe('the registry’s port over TLS', () => {
  it('answers whoever trusts its authority, on one connection after another request', async () => {
    await using port = await open()
    port.secure(pairFor('127.0.0.1'))
    answers(port)
    expect(port.scheme).toBe('https')
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (const size of [0, 3, 1_000_000]) {
      const answer = await ask('https', port, '/a', {
        agent,
        ...(size === 0 ? {} : { body: Buffer.alloc(size) }),
      })
      expect(answer).toEqual({ status: 200, body: `TLS /a ${size}` })
    }
    agent.destroy()
  })

  it('lets connections wait until there is a certificate, and something that answers', async () => {
    await using port = await open()
    const early = ask('https', port, '/early')
    const version = ask('https', port, '/v2/')
    port.secure(pairFor('127.0.0.1'))
    expect(await version).toEqual({ status: 200, body: '{}' })
    answers(port)
    expect((await early).body).toBe('TLS /early 0')
  })

  it('uses a new certificate from the next connection on, and goes on with those that stand', async () => {
    await using port = await open()
    port.secure(pairFor('127.0.0.1', 'first'))
    answers(port)
    const names = async () => {
      const socket = connect({ host: '127.0.0.1', port: portOf(port), ca: authority.certificate })
      await once(socket, 'secureConnect')
      return { socket, names: socket.getPeerCertificate().subjectaltname }
    }
    const before = await names()
    port.secure(pairFor('127.0.0.1', 'second'))
    const after = await names()
    expect(before.names).toContain('DNS:first')
    expect(after.names).toContain('DNS:second')
    before.socket.write('GET /old HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(String((await once(before.socket, 'data'))[0])).toMatch(/^HTTP\/1.1 200 /)
    for (const { socket } of [before, after]) socket.destroy()
  })

  it('takes the quickest cipher that a client has', async () => {
    await using port = await open()
    port.secure(pairFor('127.0.0.1'))
    const cipherFor = async (ciphers?: string) => {
      const options = { host: '127.0.0.1', port: portOf(port), ca: authority.certificate }
      const socket = connect({
        ...options,
        ...(ciphers === undefined ? {} : { ciphers, minVersion: 'TLSv1.3' }),
      })
      await once(socket, 'secureConnect')
      const { name } = socket.getCipher()
      socket.destroy()
      return name
    }
    expect(await cipherFor()).toBe('TLS_AES_128_GCM_SHA256')
    expect(await cipherFor('TLS_AES_256_GCM_SHA384')).toBe('TLS_AES_256_GCM_SHA384')
  })

  it('keeps what it has when OpenSSL takes no new one', async () => {
    await using port = await open()
    port.secure(pairFor('127.0.0.1'))
    answers(port)
    expect(() => port.secure({ ...pairFor('a'), key: pairFor('b').key })).toThrow(/key values mismatch/)
    expect((await ask('https', port)).status).toBe(200)
  })

  it('tells who speaks plain HTTP what it speaks', async () => {
    await using port = await open()
    port.secure(pairFor('127.0.0.1'))
    answers(port)
    const { status, body } = await ask('http', port)
    expect(status).toBe(400)
    expect(JSON.parse(body)).toMatchObject({ errors: [{ message: expect.stringContaining('speaks HTTPS') }] })
  })

  it('answers plain HTTP from this host where it was told to, with bodies of any size', async () => {
    await using port = await open({ plain: true })
    port.secure(pairFor('127.0.0.1'))
    answers(port)
    for (const size of [0, 3, 1_000_000]) {
      const body = size === 0 ? {} : { body: Buffer.alloc(size) }
      expect(await ask('http', port, '/', body)).toEqual({ status: 200, body: `plain / ${size}` })
    }
    expect((await ask('https', port)).body).toBe('TLS / 0')
  })

  it('is found by a program of this host, whatever it speaks', async () => {
    await using port = await open()
    port.secure(pairFor('127.0.0.1'))
    answers(port)
    await using other = await openHttpPort({ host: '127.0.0.1', port: 0 })
    answers(other)
    const { signal } = new AbortController()
    const bodyOf = async (asked: HttpPort) =>
      (await read(await getLocal({ host: '127.0.0.1', port: portOf(asked) }, '/x', { signal }))).body
    expect([await bodyOf(port), await bodyOf(other)]).toEqual(['TLS /x 0', 'plain /x 0'])
  })
})

describe('connections that do not shake hands', () => {
  it.each([
    ['nothing', ''],
    ['the beginning of a handshake', '\x16\x03\x01\x02\x00'],
    ['half a request', 'G'],
  ])('are cut in time: %s', async (_name, text) => {
    await using port = await open({ headersMs: 50, checkMs: 10 })
    port.secure(pairFor('127.0.0.1'))
    const socket = silentTo(port, text)
    await once(socket, 'close')
  })

  it.each([
    ['nothing', ''],
    ['the beginning of a handshake', '\x16\x03\x01\x02\x00'],
    ['half a request', 'G'],
  ])('go when their client has said %s and ends, as checks of a port do', async (_name, text) => {
    await using port = await open()
    port.secure(pairFor('127.0.0.1'))
    const socket = silentTo(port, text)
    await once(socket, 'connect')
    socket.end()
    await once(socket, 'close')
  })

  it('are cut when what they say is no TLS, or when they do not trust the authority', async () => {
    await using port = await open()
    port.secure(pairFor('127.0.0.1'))
    answers(port)
    await once(silentTo(port, '\x16\x03\x01\x00\x05hello'), 'close')
    const stranger = connect({ host: '127.0.0.1', port: portOf(port) })
    await expect(once(stranger, 'secureConnect')).rejects.toThrow(/self-signed|unable to/)
    expect((await ask('https', port)).status).toBe(200)
  })

  it('make room for those that do, and not one that is answered meanwhile', async () => {
    await using port = await open({ maxConnections: 8 })
    port.secure(pairFor('127.0.0.1'))
    const asked = Promise.withResolvers<() => void>()
    port.serve((request, response) => {
      if (request.url === '/slow') asked.resolve(() => response.end('late'))
      else response.end('answer')
    })
    const slow = ask('https', port, '/slow')
    const answer = await asked.promise
    const silent: Socket[] = []
    for (let connection = 0; connection < 30; connection++) {
      const socket = silentTo(port, '')
      await once(socket, 'connect')
      silent.push(socket)
    }
    expect((await ask('https', port)).body).toBe('answer')
    answer()
    expect((await slow).body).toBe('late')
    for (const socket of silent) socket.destroy()
  })

  it('do not hold a port that closes', async () => {
    const port = await open()
    const socket = silentTo(port, '\x16\x03')
    await once(socket, 'connect')
    const closed = once(socket, 'close')
    // Accepted before this one, which is answered at once.
    await ask('http', port)
    await port[Symbol.asyncDispose]()
    await closed
  })
})

function portOf({ address }: HttpPort): number {
  return Number(address.split(':').at(-1))
}

function silentTo(port: HttpPort, text: string): Socket {
  const socket = connectPlain(portOf(port), '127.0.0.1', () => socket.write(Buffer.from(text, 'latin1')))
  socket.on('error', () => undefined).resume()
  return socket
}
