/** Faults that are planted on a host, each of which `shoal doctor` has to name. */
import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { examine } from './doctor.ts'
import { run } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder } from './scratch-folder.ts'

let registry: Registry

/** Ports that are free, so that nothing but what was planted is found. */
const freePorts = ['--http', '127.0.0.1:0', '--p2p', '127.0.0.1:0']

describe('shoal doctor', requires('shoal'), () => {
  beforeEach(async () => {
    registry = await openRegistry()
  })
  afterEach(async () => await registry[Symbol.asyncDispose]())

  test('finds nothing wrong with a node that runs as it should', async () => {
    const { exitCode, faults, all } = await examine(registry.data)
    expect([exitCode, faults]).toEqual([0, []])
    expect(all).toContainEqual({
      check: 'ports',
      level: 'fine',
      found: `127.0.0.1:${registry.port} (--http) answers`,
    })
  })

  test('names what is wrong with the files of a running node', async () => {
    const at = (name: string) => path.join(registry.data, name)
    await chmod(at('identity'), 0o644)
    await writeFile(at('cluster'), 'shoal1:damaged', { mode: 0o600 })
    await writeFile(at('quarantine/sha256-0123.1'), 'rotten')
    await chmod(registry.data, 0o777)
    const { exitCode, faults } = await examine(registry.data)
    expect(exitCode).toBe(1)
    expect(faults).toEqual([
      expect.stringMatching(/^data: .* may be written by other users \(mode 777\) -> chmod 700/),
      expect.stringMatching(/^secrets: .*identity has mode 644, so that other users .* -> chmod 600/),
      expect.stringMatching(/^secrets: .*cluster is broken: the join token is damaged .* -> join again/),
      expect.stringMatching(/^content: 1 file in quarantine/),
    ])
  })

  test('names what a node that was killed left, and who has its ports now', async () => {
    await registry.kill()
    await using stack = new AsyncDisposableStack()
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    stack.defer(() => void server.close())
    const { port } = server.address() as AddressInfo
    const flags = ['--http', `127.0.0.1:${port}`, '--p2p', '192.0.2.1:5001']
    await rm(path.join(registry.data, 'identity'))
    const { exitCode, faults } = await examine(registry.data, flags)
    expect(exitCode).toBe(1)
    expect(faults).toEqual([
      expect.stringMatching(/^node: no node runs, .*admin\.sock behind: it was killed or crashed/),
      expect.stringMatching(/^secrets: .*identity is gone -> restore it/),
      expect.stringMatching(new RegExp(`^ports: 127.0.0.1:${port} .* is taken by .*process ${process.pid}`)),
      expect.stringMatching(/^ports: 192\.0\.2\.1 \(--p2p\) is no address of this machine/),
    ])
  })

  test("names what is wrong in docker's configuration", async () => {
    const config = path.join(registry.data, 'daemon.json')
    const mirrors = [`localhost:${registry.port}`, `https://localhost:${registry.port}`]
    await writeFile(
      config,
      JSON.stringify({ 'registry-mirrors': mirrors, 'insecure-registries': ['http://192.0.2.1:5000'] }),
    )
    const { faults } = await examine(registry.data, ['--docker-config', config])
    expect(faults).toEqual([
      expect.stringMatching(/^docker: dockerd does not answer/),
      expect.stringMatching(/^docker: registry-mirrors in .* which is no URL/),
      expect.stringMatching(/^docker: registry-mirrors in .* the node speaks plain HTTP/),
      expect.stringMatching(/^docker: insecure-registries in .*takes HOST:PORT/),
    ])
    await writeFile(config, '{"registry-mirrors": [')
    expect((await examine(registry.data, ['--docker-config', config])).faults).toContainEqual(
      expect.stringMatching(/^docker: .*daemon\.json is not a JSON object/),
    )
  })
})

describe('shoal doctor beside upstreams', requires('shoal'), () => {
  test('names one that refuses the credentials, and one that cannot be reached', async () => {
    await using stack = new AsyncDisposableStack()
    const strict = createHttpServer((_request, response) => {
      response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="strict"' }).end()
    })
    await new Promise<void>((resolve) => strict.listen(0, '127.0.0.1', resolve))
    stack.defer(() => void strict.close())
    const { port } = strict.address() as AddressInfo
    const folder = stack.use(await openScratchFolder())
    const config = folder.at('shoal.json')
    const upstream = [
      { name: 'strict.example', url: `http://127.0.0.1:${port}`, username: 'robot', password: 'wrong' },
      { name: 'away.example', url: 'http://127.0.0.1:1' },
    ]
    await writeFile(config, JSON.stringify({ upstream }), { mode: 0o600 })
    const node = stack.use(await openRegistry({ flags: ['--config', config] }))
    const { exitCode, faults } = await examine(node.data)
    expect(exitCode).toBe(1)
    expect(faults).toEqual([
      expect.stringMatching(
        /^upstreams: strict\.example refuses the credentials: .* -> they are set in .*shoal\.json; put right ones/,
      ),
      expect.stringMatching(/^upstreams: away\.example cannot be reached at http:\/\/127\.0\.0\.1:1/),
    ])
  })
})

describe('shoal doctor without a node', requires('linux', 'root', 'shoal', 'mount', 'umount'), () => {
  test('names a disk that is full and forgets everything, and files of the wrong owner', async () => {
    await using folder = await openScratchFolder()
    const data = folder.at('data')
    await mkdir(data, { mode: 0o700 })
    await run('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=0700', 'tmpfs', data])
    await mkdir(path.join(data, 'db'))
    for (const name of ['identity', 'cluster']) await writeFile(path.join(data, name), '', { mode: 0o600 })
    await chown(path.join(data, 'db'), 4711, 4711)
    const { exitCode, faults } = await examine(data, freePorts)
    expect(exitCode).toBe(1)
    expect(faults).toEqual([
      expect.stringMatching(/^data: db in it belongs to uid 4711, not to root .*-> .*chown -R root/),
      expect.stringMatching(/^secrets: .*identity is broken/),
      expect.stringMatching(/^secrets: .*cluster is broken/),
      expect.stringMatching(/^disk: the disk is full: .* below 256 MiB -> make room/),
      expect.stringMatching(/^disk: the data directory is on tmpfs, which is memory/),
    ])
  })
})
