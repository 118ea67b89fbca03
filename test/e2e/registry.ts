/**
 * The registry under test, as a process: a Shoal node from this checkout.
 * `E2E_REGISTRY=docker-registry` runs the same tests against the reference registry, to tell a fault of a test
 * from one of the node.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { type Daemon, startDaemon } from './process.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

const SHOAL = path.join(import.meta.dirname, '../../scripts/shoal')

const registryKind: 'shoal' | 'docker-registry' =
  process.env.E2E_REGISTRY === 'docker-registry' ? 'docker-registry' : 'shoal'

export interface Registry extends AsyncDisposable {
  readonly name: string
  readonly port: number
  /** As clients write it before a repository's name: an address on loopback, so that they all speak plain HTTP. */
  readonly host: string
  /** The data directory; it is removed on disposal. */
  readonly data: string
  output(): string
  /** Ends the process with SIGKILL. */
  kill(): Promise<void>
  /** Ends the process with SIGTERM; resolves with its exit code, `null` when the signal ended it. */
  stop(): Promise<number | null>
  /** Starts it again, over the same data directory and port. */
  start(): Promise<void>
  /** Starts it again and does not wait until it is ready. */
  launch(): Promise<void>
}

export interface RegistryOptions {
  flags?: string[]
  env?: Record<string, string>
  /** The `shoal` to run; default is that of this checkout. */
  program?: string
  /** Makes the data directory before the first start. */
  prepare?(data: string): Promise<void>
}

export async function openRegistry(options: RegistryOptions = {}): Promise<Registry> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await openScratchFolder())
  const data = folder.at('data')
  const [http, p2p] = await freePorts(2)
  let daemon: Daemon | undefined
  cleanup.defer(async () => daemon?.[Symbol.asyncDispose]())

  const start = async (ready?: RegExp) => {
    daemon =
      registryKind === 'shoal'
        ? await startShoal(data, http, p2p, options, ready)
        : await startReference(folder, data, http, ready)
  }
  await options.prepare?.(data)
  const ready = new RegExp(`${registryKind === 'shoal' ? '' : 'listening on '}127\\.0\\.0\\.1:${http}\\b`)
  await start(ready)
  const owned = cleanup.move()
  return {
    name: registryKind,
    port: http,
    host: `localhost:${http}`,
    data,
    output: () => daemon?.output() ?? '',
    kill: async () => daemon?.end('SIGKILL'),
    async stop() {
      await daemon?.end('SIGTERM')
      return daemon?.exitCode() ?? null
    },
    start: () => start(ready),
    launch: () => start(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Ports that nothing listens on, below the range from which the system takes those of outgoing connections. */
export async function freePorts(count: 2): Promise<[number, number]>
export async function freePorts(count: number): Promise<number[]>
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > 200) throw new Error('found no free port')
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (!ports.includes(port) && (await isFree(port))) ports.push(port)
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

function startShoal(
  data: string,
  http: number,
  p2p: number,
  { flags = [], env = {}, program = SHOAL }: RegistryOptions,
  ready: RegExp | undefined,
): Promise<Daemon> {
  const addresses = ['--http', `127.0.0.1:${http}`, '--p2p', `127.0.0.1:${p2p}`, '--no-mdns']
  return startDaemon('shoal', program, ['serve', '--data', data, ...addresses, ...flags], {
    env,
    ...(ready === undefined ? {} : { ready }),
  })
}

async function startReference(
  folder: ScratchFolder,
  data: string,
  port: number,
  ready: RegExp | undefined,
): Promise<Daemon> {
  const config = folder.at('config.yml')
  await mkdir(data, { recursive: true })
  const storage = { filesystem: { rootdirectory: data }, delete: { enabled: true } }
  const http = { addr: `127.0.0.1:${port}`, secret: 'secret' }
  // JSON is YAML.
  await writeFile(config, JSON.stringify({ version: '0.1', log: { level: 'info' }, storage, http }))
  return startDaemon(
    'docker-registry',
    'docker-registry',
    ['serve', config],
    ready === undefined ? {} : { ready },
  )
}
