/** podman and buildah, with storage of their own. */
import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, openClient, pullManifest, pushItem } from './client.ts'
import { makeImage, seededBytes } from './image.ts'
import { run, showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

describe('podman and buildah', requires('linux', 'root', 'podman', 'buildah'), () => {
  let registry: Registry
  let folder: ScratchFolder
  let client: Client

  beforeAll(async () => {
    folder = await openScratchFolder()
    registry = await openRegistry()
    client = openClient(registry.port)
  })
  afterAll(async () => {
    client?.[Symbol.dispose]()
    await registry?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })
  showOutputOnFailure(() => [registry])

  const tool = (command: 'podman' | 'buildah') => async (args: string[]) => {
    const storage = ['--root', folder.at('storage'), '--runroot', folder.at('run'), '--storage-driver', 'vfs']
    const env = { HOME: folder.path, XDG_RUNTIME_DIR: folder.path, TMPDIR: folder.path }
    return (await run(command, [...storage, ...args], { env })).stdout.trim()
  }
  const podman = tool('podman')
  const buildah = tool('buildah')

  test('podman pulls, pushes and pulls again', async () => {
    const image = makeImage({ seed: 'podman', layerBytes: [300_000, 4_000_000, 0] })
    await pushItem(client, 'pod/app', '1', image)
    const pulled = await podman(['pull', '--quiet', '--tls-verify=false', `${registry.host}/pod/app:1`])
    expect(`sha256:${pulled}`).toBe(image.config.descriptor.digest)

    const name = `${registry.host}/pod/again:1`
    await podman(['push', '--tls-verify=false', '--digestfile', folder.at('digest'), pulled, name])
    const stored = await pullManifest(client, 'pod/again', '1')
    expect(stored.headers['docker-content-digest']).toBe(await readFile(folder.at('digest'), 'utf8'))

    await podman(['rmi', '--force', pulled])
    expect(await podman(['pull', '--quiet', '--tls-verify=false', name])).toBe(pulled)
  })

  test('buildah builds an image, pushes it and pulls it back', async () => {
    const bytes = seededBytes('buildah', 2_000_000)
    await writeFile(folder.at('file'), bytes)
    const container = await buildah(['from', 'scratch'])
    await buildah(['copy', '--quiet', container, folder.at('file'), '/file'])
    const id = await buildah(['commit', '--quiet', container, 'built'])
    const name = `${registry.host}/bud/app:1`
    await buildah([
      'push',
      '--quiet',
      '--tls-verify=false',
      '--digestfile',
      folder.at('digest'),
      id,
      `docker://${name}`,
    ])
    const stored = await pullManifest(client, 'bud/app', '1')
    expect(stored.headers['docker-content-digest']).toBe(await readFile(folder.at('digest'), 'utf8'))
    expect(JSON.parse(stored.body.toString()).config.digest).toBe(`sha256:${id}`)

    await buildah(['rm', container])
    await buildah(['rmi', '--force', id])
    expect(await buildah(['pull', '--quiet', '--tls-verify=false', `docker://${name}`])).toBe(id)
  })
})
