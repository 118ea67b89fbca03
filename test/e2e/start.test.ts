/** What a start promises: commands work from the first sign of life on, and one that fails says why and leaves nothing behind. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { openReachableNode } from '../../node/admin/reachable-node.ts'
import { readSettings } from '../../node/settings/settings.ts'
import { findCluster, parseToken, startCluster, tokenOf } from '../../src/swarm/swarm.ts'
import { openClient, startUpload, withDigest } from './client.ts'
import { type RunResult, run } from './command.ts'
import { openControlGroup } from './control-group.ts'
import { type Daemon, startDaemon } from './process.ts'
import { freePorts, openRegistry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder } from './scratch-folder.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
const mib = 2 ** 20

describe('a node that starts', requires('shoal'), () => {
  test('answers every command from its first healthz on', async () => {
    await using registry = await openRegistry()
    await registry.stop()
    await registry.launch()
    await untilHealthy(registry.port)
    const { stdout } = await run(shoal, ['token', '--data', registry.data])
    expect(stdout).toMatch(/^shoal1:/)
  })

  test('follows a rotation with `shoal token`, and is not moved back by the token of before', async () => {
    await using registry = await openRegistry()
    const token = async () => (await run(shoal, ['token', '--data', registry.data])).stdout
    const old = await token()
    await run(shoal, ['token', 'rotate', '--data', registry.data])
    const rotated = await token()
    expect(rotated).not.toBe(old)
    await registry.stop()
    const flags = ['--http', `127.0.0.1:${registry.port}`, '--p2p', '127.0.0.1:0', '--no-mdns']
    const env = { SHOAL_JOIN: old.trim() }
    await using again = await serve(registry.data, flags, { env, ready: /is ready/ })
    expect(again.output()).toMatch(/"level":40.*retired.*SHOAL_JOIN/)
    expect(secretOf(await token())).toBe(secretOf(rotated))
  })
})

describe('a start that fails', requires('shoal'), () => {
  test('names the node that runs on the same data directory, not its port', async () => {
    await using registry = await openRegistry()
    const flags = ['--http', `127.0.0.1:${registry.port}`, '--p2p', '127.0.0.1:0']
    const failure = await failedServe(registry.data, flags)
    expect(failure).toContain(`a node already runs on ${registry.data}`)
    expect(failure).not.toContain('in use')
  })

  test('is none where a command has the data directory: the node waits for its end', async () => {
    await using registry = await openRegistry()
    const flags = ['--http', `127.0.0.1:${registry.port}`, '--p2p', '127.0.0.1:0', '--no-mdns']
    await registry.stop()
    const { settings } = readSettings(['--data', registry.data], {})
    const command = await openReachableNode(settings)
    await using node = await serve(registry.data, flags, {
      ready: /a command of shoal has the data directory/,
    })
    expect(node.output()).not.toContain('is ready')
    await command[Symbol.asyncDispose]()
    await untilHealthy(registry.port)
  })

  test('says that the port for peers is taken in words of its own, and keeps nobody from joining', async () => {
    await using folder = await openScratchFolder()
    const data = folder.at('data')
    const [http, taken] = await freePorts(2)
    using _other = await listenOn(taken)
    const flags = ['--http', `127.0.0.1:${http}`, '--p2p', `127.0.0.1:${taken}`, '--no-mdns']
    const failure = await failedServe(data, flags)
    const words = `127.0.0.1:${taken}, is in use by another process; choose another with --p2p HOST:PORT`
    expect(failure).toContain(`shoal: the address for peers, ${words}`)
    expect(failure).not.toMatch(/EADDRINUSE|faultTolerance/)

    const cluster = await startCluster(folder.path)
    const joining = ['--http', `127.0.0.1:${http}`, '--p2p', '127.0.0.1:0', '--no-mdns']
    await using node = await serve(data, [...joining, '--join', tokenOf(cluster)], { ready: /is ready/ })
    expect(node.running()).toBe(true)
    expect((await findCluster(data))?.authority).toEqual(cluster.authority)
  })

  test('gives up on a data directory that cannot be made', async () => {
    const flags = ['--http', '127.0.0.1:0', '--p2p', '127.0.0.1:0']
    const failure = await failedServe('/proc/x', flags)
    expect(failure).toContain('ended with 1\nshoal: /proc/x: there is no such file or folder')
  })
})

describe('a node on half a core and 256 MiB', requires('shoal', 'control groups'), () => {
  test('knows what it has, and takes and gives more than its memory without being killed', async () => {
    await using stack = new AsyncDisposableStack()
    const group = stack.use(await openControlGroup({ processors: 0.5, memoryBytes: 256 * mib }))
    const folder = stack.use(await openScratchFolder())
    await writeFile(folder.at('shoal'), group.script(shoal), { mode: 0o755 })
    const registry = stack.use(await openRegistry({ program: folder.at('shoal') }))
    expect(registry.output()).toMatch(new RegExp(`"processors":0.5,"memoryBytes":${256 * mib}\\b`))
    using client = openClient(registry.port)
    const parts = Array.from({ length: 288 }, (_, part) => Buffer.alloc(mib, String(part)))
    const digest = `sha256:${parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest('hex')}`
    const location = withDigest(await startUpload(client, 'small/app'), digest)
    const put = await client.ask('PUT', location, { body: Readable.from(parts) })
    expect(put.status).toBe(201)
    const got = await fetch(`http://127.0.0.1:${registry.port}/v2/small/app/blobs/${digest}`)
    const sum = createHash('sha256')
    for await (const chunk of got.body ?? []) sum.update(chunk)
    expect(`sha256:${sum.digest('hex')}`).toBe(digest)
    expect(await group.kills()).toBe(0)
    expect(await registry.stop()).toBe(0)
  })
})

function serve(
  data: string,
  flags: string[],
  options: { env?: Record<string, string>; ready?: RegExp } = {},
): Promise<Daemon> {
  return startDaemon('shoal', shoal, ['serve', '--data', data, ...flags], options)
}

/** What it said. */
async function failedServe(data: string, flags: string[]): Promise<string> {
  const started: Promise<RunResult> = run(shoal, ['serve', '--data', data, ...flags], { timeoutMs: 20_000 })
  return started.then(
    () => expect.unreachable('it started'),
    (error: Error) => error.message,
  )
}

async function untilHealthy(port: number): Promise<void> {
  for (;;) {
    const status = await fetch(`http://127.0.0.1:${port}/healthz`).then(
      (response) => response.status,
      () => undefined,
    )
    if (status === 200) return
  }
}

function secretOf(token: string): string {
  return Buffer.from(parseToken(token).secret).toString('hex')
}

async function listenOn(port: number): Promise<Disposable> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
  return { [Symbol.dispose]: () => void server.close() }
}
