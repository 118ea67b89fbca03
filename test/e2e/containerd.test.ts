/** containerd by its own client, ctr. */
import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, openClient, pullManifest, pushItem } from './client.ts'
import { type Containerd, openContainerd } from './containerd.ts'
import { archive, contentsOf, makeImage, makeIndex } from './image.ts'
import { showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'

describe('containerd', requires('linux', 'root', 'containerd', 'ctr'), () => {
  let registry: Registry
  let containerd: Containerd
  let client: Client

  beforeAll(async () => {
    registry = await openRegistry()
    containerd = await openContainerd()
    client = openClient(registry.port)
  })
  afterAll(async () => {
    client?.[Symbol.dispose]()
    await containerd?.[Symbol.asyncDispose]()
    await registry?.[Symbol.asyncDispose]()
  })
  showOutputOnFailure(() => [registry, containerd])

  const heldContent = async () =>
    (await containerd.ctr(['content', 'ls', '--quiet'])).stdout.trim().split('\n')

  test('pushes an image, forgets it and pulls it back', async () => {
    const image = makeImage({ seed: 'ctr', layerBytes: [400_000, 6_000_000, 0] })
    const name = `${registry.host}/c/app:1`
    await writeFile(containerd.folder.at('app.tar'), archive(image, name))
    await containerd.ctr(['images', 'import', containerd.folder.at('app.tar')])
    await containerd.ctr(['images', 'push', '--plain-http', name])
    const stored = await pullManifest(client, 'c/app', '1')
    expect(stored.headers['docker-content-digest']).toBe(image.manifest.descriptor.digest)

    await containerd.ctr(['images', 'rm', '--sync', name])
    expect(await heldContent()).not.toContain(image.manifest.descriptor.digest)
    await containerd.ctr(['images', 'pull', '--plain-http', name])
    for (const { descriptor } of contentsOf(image)) expect(await heldContent()).toContain(descriptor.digest)
  })

  test('pulls every platform of an index and pushes it to another repository', async () => {
    const index = makeIndex('ctr-index')
    await pushItem(client, 'c/index', '1', index)
    const name = `${registry.host}/c/index:1`
    await containerd.ctr(['images', 'pull', '--plain-http', '--all-platforms', name])
    for (const { descriptor } of contentsOf(index)) expect(await heldContent()).toContain(descriptor.digest)

    await containerd.ctr(['images', 'push', '--plain-http', `${registry.host}/other/index:2`, name])
    const stored = await pullManifest(client, 'other/index', '2')
    expect(stored.headers['docker-content-digest']).toBe(index.manifest.descriptor.digest)
  })
})
