/** The container image under Docker: nobody's process, healthy, stopped in order, and its volume outlives it. */
import { chown, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PeerList } from '../../node/operations/operations.ts'
import { until } from '../swarm/fixture.ts'
import { openClient, pullManifest, pushItem } from './client.ts'
import { buildImage } from './container-image.ts'
import { type DockerEngine, openDockerEngine } from './docker-engine.ts'
import { expectGolden } from './golden-checks.ts'
import { unpackGolden } from './golden-data.ts'
import { makeImage } from './image.ts'
import { expectOrderlyStop } from './orderly-stop.ts'
import { showOutputOnFailure } from './process.ts'
import { freePorts } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

const needs = [
  ...['linux', 'root', 'shoal', 'dockerd', 'docker', 'docker-compose'],
  ...['buildah', 'podman', 'npm', 'ldd', 'tar'],
]

const checkout = path.join(import.meta.dirname, '../..')

describe('the container image', requires(...needs), () => {
  const user = 65_532
  let folder: ScratchFolder
  let engine: DockerEngine
  let image: string

  beforeAll(async () => {
    folder = await openScratchFolder()
    engine = await openDockerEngine('classic')
    const built = await buildImage(folder)
    await engine.docker(['load', '--quiet', '--input', built.archive])
    image = built.name
  }, 300_000)
  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })
  showOutputOnFailure(() => [engine])

  const docker = async (...args: string[]) => (await engine.docker(args)).stdout.trim()
  const inspect = (container: string, what: string) => docker('inspect', '--format', `{{${what}}}`, container)

  /** Runs the image over a volume, or a folder, and resolves when Docker finds it healthy. */
  async function start(volume: string): Promise<{ container: string; port: number }> {
    const [http, p2p] = await freePorts(2)
    const settings = { SHOAL_HTTP: `127.0.0.1:${http}`, SHOAL_P2P: `127.0.0.1:${p2p}`, SHOAL_NO_MDNS: 'true' }
    const environment = Object.entries(settings).flatMap(([key, value]) => ['--env', `${key}=${value}`])
    const options = ['--network', 'host', '--health-interval', '1s', '--volume', `${volume}:/var/lib/shoal`]
    const container = await docker('run', '--detach', ...options, ...environment, image)
    await until(
      'it to be healthy',
      async () => (await inspect(container, '.State.Health.Status')) === 'healthy',
      30_000,
    )
    return { container, port: http }
  }

  async function stop(container: string): Promise<number> {
    await docker('stop', '--time', '20', container)
    return Number(await inspect(container, '.State.ExitCode'))
  }

  test('runs as a user without rights, and what was pushed is there for the next container', async () => {
    const content = makeImage({ seed: 'container image' })
    const first = await start('kept')
    const status = await readFile(`/proc/${await inspect(first.container, '.State.Pid')}/status`, 'utf8')
    expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).toBe(String(user))
    expect(/^CapEff:\t(\w+)/m.exec(status)?.[1]).toBe('0000000000000000')
    {
      using client = openClient(first.port)
      await pushItem(client, 'team/app', '1', content)
    }
    await expectOrderlyStop(first.port, () => stop(first.container))
    await docker('rm', first.container)

    const second = await start('kept')
    using client = openClient(second.port)
    const { headers } = await pullManifest(client, 'team/app', '1')
    expect(headers['docker-content-digest']).toBe(content.manifest.descriptor.digest)
    expect(await stop(second.container)).toBe(0)
  })

  test('runs as the Compose file says, and joins by the token that is set there', async () => {
    const other = await start('other')
    const [http, p2p] = await freePorts(2)
    const settings = { SHOAL_HTTP: `127.0.0.1:${http}`, SHOAL_P2P: `127.0.0.1:${p2p}`, SHOAL_NO_MDNS: 'true' }
    const override = { environment: settings, healthcheck: { interval: '1s' } }
    await writeFile(folder.at('here.json'), JSON.stringify({ services: { shoal: override } }))
    await docker('tag', image, 'shoal')
    const compose = async (args: string[], env: Record<string, string> = {}) => {
      const files = [path.join(checkout, 'deploy/compose.yaml'), folder.at('here.json')]
      await engine.docker(['compose', ...files.flatMap((file) => ['--file', file]), ...args], { env })
    }
    const members = async () =>
      (JSON.parse(await docker('exec', 'shoal-node', 'shoal', 'peers', '--json')) as PeerList).members.length

    await compose(['up', '--detach', '--wait'], {
      SHOAL_JOIN: await docker('exec', other.container, 'shoal', 'token'),
    })
    await until('it to find the other node', async () => (await members()) === 1, 30_000)
    await compose(['stop'])
    expect(await inspect('shoal-node', '.State.ExitCode')).toBe('0')
    await compose(['down'])

    await compose(['up', '--detach', '--wait'])
    await until('it to find the other node again', async () => (await members()) === 1, 30_000)
    await compose(['down'])
    expect(await stop(other.container)).toBe(0)
  })

  test('goes on with the data of an earlier version', async () => {
    const golden = await unpackGolden(1, folder.path)
    await chownAll(folder.at('data'), user)
    const { container, port } = await start(folder.at('data'))
    using client = openClient(port)
    await expectGolden(client, golden)
    expect(await stop(container)).toBe(0)
  })

  test('says what keeps it from being healthy', async () => {
    const failed = docker('run', '--rm', '--network', 'host', image, 'health', '--http', '127.0.0.1:1')
    await expect(failed).rejects.toThrow('127.0.0.1:1 does not answer: nobody listens there')
  })
})

async function chownAll(directory: string, owner: number): Promise<void> {
  await chown(directory, owner, owner)
  for (const name of await readdir(directory, { recursive: true }))
    await chown(path.join(directory, name), owner, owner)
}
