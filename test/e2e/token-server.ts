/**
 * A token server for Debian's docker-registry, as a program of its own so that it runs in a network namespace too:
 * `node token-server.ts CONFIG`. It prints its port once it listens. Anyone may pull what is `public/…`, the one user everything.
 */
import { randomUUID, sign, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface TokenServerConfig {
  host: string
  issuer: string
  service: string
  /** Paths of PEM files. */
  certificate: string
  key: string
  username: string
  password: string
}

const [, , configFile = ''] = process.argv
const config: TokenServerConfig = JSON.parse(readFileSync(configFile, 'utf8'))
const key = readFileSync(config.key)
const certificate = new X509Certificate(readFileSync(config.certificate)).raw.toString('base64')

const server = createServer((request, response) => {
  answer(request).then(
    ({ status, body }) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
    (error: unknown) => response.writeHead(500).end(String(error)),
  )
})
server.listen(0, config.host, () => console.log(`token server on ${(server.address() as AddressInfo).port}`))

async function answer(request: IncomingMessage): Promise<{ status: number; body: object }> {
  const { searchParams } = new URL(request.url ?? '', 'http://token.invalid')
  const form = request.method === 'POST' ? new URLSearchParams(await readText(request)) : undefined
  const user = form === undefined ? userOf(request.headers.authorization) : form
  const isKnown = user?.get('username') === config.username && user.get('password') === config.password
  if (user !== undefined && !isKnown)
    return { status: 401, body: { details: 'incorrect username or password' } }
  const scopes = form?.get('scope')?.split(' ') ?? searchParams.getAll('scope')
  const access = scopes.flatMap((scope) => {
    const [type, name = '', actions = ''] = scope.split(':')
    const isGranted = type === 'repository' && actions === 'pull' && (isKnown || name.startsWith('public/'))
    return isGranted ? [{ type, name, actions: ['pull'] }] : []
  })
  return { status: 200, body: { token: tokenFor(access), expires_in: 300 } }
}

function userOf(header: string | undefined): URLSearchParams | undefined {
  if (header === undefined) return undefined
  const [username = '', password = ''] = Buffer.from(header.replace(/^Basic /, ''), 'base64')
    .toString()
    .split(':')
  return new URLSearchParams({ username, password })
}

function tokenFor(access: object[]): string {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: config.issuer,
    sub: '',
    aud: config.service,
    exp: now + 300,
    nbf: now - 10,
    iat: now - 10,
    jti: randomUUID(),
    access,
  }
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode({ typ: 'JWT', alg: 'ES256', x5c: [certificate] })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

async function readText(request: IncomingMessage): Promise<string> {
  return Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString()
}
