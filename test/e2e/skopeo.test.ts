/** skopeo, copying both ways. */
import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { pullManifest } from './client.ts'
import { contentsOf, type Image, type Index, makeImage, makeIndex, sha256, writeLayout } from './image.ts'
import { run } from './process.ts'
import { requires } from './requirement.ts'
import { useRegistry } from './use-registry.ts'

describe('skopeo', requires('skopeo'), () => {
  const image = makeImage({ seed: 'skopeo', layerBytes: [300_000, 5_000_000, 0, 80_000] })
  const index = makeIndex('skopeo-index')
  const here = useRegistry()

  beforeAll(async () => {
    await writeLayout(here.folder.at('layout'), { image, index })
  })

  const copy = (from: string, to: string, ...flags: string[]) =>
    run('skopeo', ['copy', '--src-tls-verify=false', '--dest-tls-verify=false', ...flags, from, to])
  const remote = (name: string) => `docker://${here.registry.host}/${name}`
  const expectLayout = async (name: string, item: Image | Index) => {
    for (const { descriptor, bytes } of contentsOf(item)) {
      const file = here.folder.at(name, 'blobs/sha256', descriptor.digest.slice(7))
      expect((await readFile(file)).equals(bytes), descriptor.digest).toBe(true)
    }
  }

  test('copies an image in and out, byte for byte', async () => {
    await copy(`oci:${here.folder.at('layout')}:image`, remote('sk/image:1'))
    const stored = await pullManifest(here.client, 'sk/image', '1')
    expect(stored.headers['docker-content-digest']).toBe(image.manifest.descriptor.digest)
    expect(stored.headers['content-type']).toBe(image.manifest.descriptor.mediaType)
    expect(stored.body.equals(image.manifest.bytes)).toBe(true)

    await copy(remote('sk/image:1'), `oci:${here.folder.at('image-back')}:image`)
    await expectLayout('image-back', image)
  })

  test('copies an index with all its platforms in and out, byte for byte', async () => {
    await copy(`oci:${here.folder.at('layout')}:index`, remote('sk/index:1'), '--all')
    const stored = await pullManifest(here.client, 'sk/index', '1')
    expect(stored.headers['docker-content-digest']).toBe(index.manifest.descriptor.digest)

    await copy(remote('sk/index:1'), `oci:${here.folder.at('index-back')}:index`, '--all')
    await expectLayout('index-back', index)
  })

  test(
    'copies an index without its platforms, and hears which index lists one that it asks for',
    requires('shoal'),
    async () => {
      await copy(`oci:${here.folder.at('layout')}:index`, remote('sk/sparse:1'), '--multi-arch', 'index-only')
      const stored = await pullManifest(here.client, 'sk/sparse', '1')
      expect(stored.body.equals(index.manifest.bytes)).toBe(true)
      const { digest } = index.manifest.descriptor
      const back = copy(remote('sk/sparse:1'), `oci:${here.folder.at('sparse-back')}:index`, '--all')
      await expect(back).rejects.toThrow(`the index ${digest} (1) lists it`)
    },
  )

  test('copies from one repository to another', async () => {
    await copy(`oci:${here.folder.at('layout')}:image`, remote('sk/source:1'))
    await copy(remote('sk/source:1'), remote('elsewhere/target:2'))
    const stored = await pullManifest(here.client, 'elsewhere/target', '2')
    expect(stored.headers['docker-content-digest']).toBe(image.manifest.descriptor.digest)
  })

  test('stores the manifest of Docker as it came', async () => {
    await copy(`oci:${here.folder.at('layout')}:image`, remote('sk/docker:1'), '--format', 'v2s2')
    const type = 'application/vnd.docker.distribution.manifest.v2+json'
    const stored = await pullManifest(here.client, 'sk/docker', '1')
    expect(stored.headers['content-type']).toBe(type)
    expect(JSON.parse(stored.body.toString()).mediaType).toBe(type)
    const { stdout } = await run('skopeo', ['inspect', '--raw', '--tls-verify=false', remote('sk/docker:1')])
    expect(sha256(Buffer.from(stdout))).toBe(stored.headers['docker-content-digest'])
  })

  test('lists tags and deletes an image', async () => {
    for (const tag of ['b', 'a'])
      await copy(`oci:${here.folder.at('layout')}:image`, remote(`sk/tags:${tag}`))
    const list = await run('skopeo', ['list-tags', '--tls-verify=false', remote('sk/tags')])
    expect(JSON.parse(list.stdout).Tags.toSorted()).toEqual(['a', 'b'])
    await run('skopeo', ['delete', '--tls-verify=false', remote('sk/tags:a')])
    const { status } = await here.client.ask('HEAD', '/v2/sk/tags/manifests/a')
    expect(status).toBe(404)
  })
})
