/** Debian's docker-registry as an upstream: open, behind a password, or behind a token server; on loopback or in a namespace. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { NetworkHost } from '../netns/network.ts'
import { type CertificateFiles, makeCertificate } from './certificate.ts'
import { openClient, pushItem } from './client.ts'
import type { Image, Index } from './image.ts'
import { type Daemon, startDaemon } from './process.ts'
import { openScratchFolder } from './scratch-folder.ts'
import type { TokenServerConfig } from './token-server.ts'

/** What a suite that uses it has to require. */
export const upstreamNeeds = ['docker-registry', 'openssl']

/** The one user that a registry with `auth` knows. */
export const upstreamUser = { username: 'robot', password: 'correct horse' }
/** The same for htpasswd, which takes bcrypt alone. */
const htpasswd = 'robot:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n'

const serviceName = 'upstream.test'

export interface UpstreamRequest {
  method: string
  path: string
  status: number
  /** Of the body. */
  bytes: number
}

export interface UpstreamRegistry extends AsyncDisposable {
  readonly name: string
  /** Scheme, address and port, for `--upstream NAME=URL`. */
  readonly url: string
  /** The path of its certificate in PEM, with `tls`. */
  readonly certificateAuthority: string | undefined
  /** Its `rootdirectory`. */
  readonly storage: string
  /** What it has answered, as its log says. */
  readonly requests: UpstreamRequest[]
  /** Whatever `auth` says: beside the registry, over the same folder. */
  push(repository: string, tag: string, item: Image | Index): Promise<void>
  stop(): Promise<void>
  /** On the port that it had. */
  start(): Promise<void>
  output(): string
}

export interface UpstreamRegistryOptions {
  /** With `token`, anyone may pull what is `public/…`; `upstreamUser` may pull everything. */
  auth?: 'basic' | 'token'
  tls?: boolean
  /** A host of a network of namespaces; default this one, on loopback. */
  at?: NetworkHost
}

type Command = NetworkHost['command']

export async function openUpstreamRegistry(options: UpstreamRegistryOptions = {}): Promise<UpstreamRegistry> {
  const { auth, tls = false, at } = options
  const address = at?.address ?? '127.0.0.1'
  const command: Command = at?.command ?? ((program, args) => ({ command: program, args }))
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await openScratchFolder())
  const data = folder.at('data')
  await mkdir(data)
  const certificate =
    tls || auth === 'token' ? await makeCertificate(folder.path, [address, 'localhost']) : undefined
  const authentication =
    auth === 'token' && certificate !== undefined
      ? await startTokenServer(folder.path, address, certificate, command, cleanup)
      : auth === 'basic'
        ? await writeHtpasswd(folder.path)
        : undefined

  const requests: UpstreamRequest[] = []
  const log = logReader(requests)
  let daemon: Daemon | undefined
  let port = 0
  const start = async () => {
    const config = folder.at('config.yml')
    const http = {
      addr: `${address}:${port}`,
      secret: 'secret',
      ...(tls ? { tls: certificate } : {}),
    }
    await writeFile(config, configuration(data, http, authentication))
    daemon = await startRegistry(config, command, log)
    port = portOf(daemon)
  }
  await start()
  cleanup.defer(async () => daemon?.[Symbol.asyncDispose]())
  const owned = cleanup.move()
  return {
    name: `upstream ${auth ?? 'open'}`,
    url: `${tls ? 'https' : 'http'}://${address}:${port}`,
    storage: data,
    certificateAuthority: tls ? certificate?.certificate : undefined,
    requests,
    async push(repository, tag, item) {
      const config = folder.at('push.yml')
      await writeFile(config, configuration(data, { addr: '127.0.0.1:0', secret: 'secret' }, undefined))
      await using beside = await startRegistry(config, (program, args) => ({ command: program, args }))
      using client = openClient(portOf(beside))
      await pushItem(client, repository, tag, item)
    },
    start,
    stop: async () => daemon?.end('SIGKILL'),
    output: () => daemon?.output() ?? '',
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** JSON is YAML. Nothing is cached, so that what is pushed beside it is seen at once. */
function configuration(data: string, http: object, auth: object | undefined): string {
  const storage = { filesystem: { rootdirectory: data } }
  return JSON.stringify({
    version: '0.1',
    log: { level: 'info' },
    storage,
    http,
    ...(auth === undefined ? {} : { auth }),
  })
}

async function startRegistry(
  config: string,
  command: Command,
  onOutput?: (text: string) => void,
): Promise<Daemon> {
  const { command: program, args } = command('docker-registry', ['serve', config])
  return await startDaemon('upstream', program, args, {
    ready: /listening on [\d.]+:\d+/,
    ...(onOutput === undefined ? {} : { onOutput }),
  })
}

function portOf(daemon: Daemon): number {
  return Number(/listening on [\d.]+:(\d+)/.exec(daemon.output())?.[1])
}

async function writeHtpasswd(folder: string): Promise<object> {
  const file = path.join(folder, 'htpasswd')
  await writeFile(file, htpasswd)
  return { htpasswd: { realm: serviceName, path: file } }
}

/** Starts it and returns what the registry has to know of it. */
async function startTokenServer(
  folder: string,
  host: string,
  certificate: CertificateFiles,
  command: Command,
  cleanup: AsyncDisposableStack,
): Promise<object> {
  const config: TokenServerConfig = {
    host,
    issuer: 'issuer.test',
    service: serviceName,
    ...certificate,
    ...upstreamUser,
  }
  const file = path.join(folder, 'token-server.json')
  await writeFile(file, JSON.stringify(config))
  const script = path.join(import.meta.dirname, 'token-server.ts')
  const { command: program, args } = command(process.execPath, [script, file])
  const ready = /token server on (\d+)/
  const server = cleanup.use(await startDaemon('token server', program, args, { ready }))
  const port = ready.exec(server.output())?.[1]
  return {
    token: {
      realm: `http://${host}:${port}/token`,
      service: serviceName,
      issuer: config.issuer,
      rootcertbundle: certificate.certificate,
    },
  }
}

/** Reads the lines of the access log as they come. */
function logReader(requests: UpstreamRequest[]): (text: string) => void {
  let rest = ''
  return (text) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [, method = '', target = '', status, bytes] =
        /"([A-Z]+) (\S+) HTTP\/1\.1" (\d+) (\d+) /.exec(line) ?? []
      if (status !== undefined)
        requests.push({ method, path: target, status: Number(status), bytes: Number(bytes) })
    }
  }
}
