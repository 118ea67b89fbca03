/** What export writes, as other tools read it, and what other tools write, as import reads it. */
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, openClient, pullManifest, pushItem, pushManifest } from './client.ts'
import { openDockerEngine } from './docker-engine.ts'
import { greeting, type Image, jsonContent, makeImage, makeIndex, sha256 } from './image.ts'
import { run, showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')

describe('images on a disk', requires('shoal'), () => {
  const image = makeImage({ seed: 'archives' })
  const index = makeIndex('archives-index')
  let registry: Registry
  let folder: ScratchFolder
  let client: Client

  beforeAll(async () => {
    folder = await openScratchFolder()
    registry = await openRegistry()
    client = openClient(registry.port)
    await pushItem(client, 'disk/image', '1', image)
    await pushItem(client, 'disk/index', '1', index)
    await command('export', 'disk/image:1', '--output', folder.at('layout'))
    await command('export', 'disk/index:1', '-o', folder.at('index.tar'))
  })
  afterAll(async () => {
    client?.[Symbol.dispose]()
    await registry?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })
  showOutputOnFailure(() => [registry])

  const command = (...args: string[]) => run(shoal, [...args, '--data', registry.data])

  /** Its config and layers are there under the name, whatever became of its manifest. */
  const expectBlobs = async (name: string, { config, layers }: Image) => {
    for (const { descriptor } of [config, ...layers]) {
      const answer = await client.ask('GET', `/v2/${name}/blobs/${descriptor.digest}`)
      expect(answer.status).toBe(200)
      expect(sha256(answer.body)).toBe(descriptor.digest)
    }
  }

  test('are read by skopeo, from a folder and from a tar file', requires('skopeo'), async () => {
    const policy = ['--insecure-policy', 'copy']
    await run('skopeo', [...policy, `oci:${folder.at('layout')}:1`, `dir:${folder.at('image')}`])
    await run('skopeo', [
      ...policy,
      '--all',
      `oci-archive:${folder.at('index.tar')}:1`,
      `dir:${folder.at('index')}`,
    ])
    const raw = await run('skopeo', ['inspect', '--raw', `oci-archive:${folder.at('index.tar')}:1`])
    expect(sha256(Buffer.from(raw.stdout))).toBe(index.manifest.descriptor.digest)
  })

  test('are read by oras, with what refers to them', requires('oras'), async () => {
    const note = jsonContent('application/vnd.oci.image.manifest.v1+json', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: 'application/vnd.example.note',
      config: image.config.descriptor,
      layers: [],
      subject: image.manifest.descriptor,
    })
    await pushManifest(client, 'disk/image', note.descriptor.digest, note)
    await command('export', 'disk/image:1', '-o', folder.at('layout'))
    const { stdout } = await run('oras', ['discover', '--oci-layout', `${folder.at('layout')}:1`])
    expect(stdout).toContain(note.descriptor.digest)
    const manifest = await run('oras', ['manifest', 'fetch', '--oci-layout', `${folder.at('layout')}:1`])
    expect(sha256(Buffer.from(manifest.stdout))).toBe(image.manifest.descriptor.digest)
  })

  test(
    'are imported as skopeo writes them, also in the format of old docker',
    requires('skopeo'),
    async () => {
      const from = `oci:${folder.at('layout')}:1`
      await run('skopeo', ['--insecure-policy', 'copy', from, `oci-archive:${folder.at('skopeo.tar')}:9`])
      await run('skopeo', [
        '--insecure-policy',
        'copy',
        from,
        `docker-archive:${folder.at('old.tar')}:old/docker:1`,
      ])
      await command('import', folder.at('skopeo.tar'), '--as', 'from/skopeo')
      const stored = await pullManifest(client, 'from/skopeo', '9')
      expect(stored.headers['docker-content-digest']).toBe(image.manifest.descriptor.digest)
      await expectBlobs('from/skopeo', image)

      await command('import', folder.at('old.tar'))
      const { layers } = JSON.parse((await pullManifest(client, 'old/docker', '1')).body.toString()) as {
        layers: { digest: string }[]
      }
      expect(layers).toHaveLength(image.layers.length)
      for (const { digest } of layers) {
        const answer = await client.ask('GET', `/v2/old/docker/blobs/${digest}`)
        expect(sha256(answer.body)).toBe(digest)
      }
    },
  )

  test(
    'come from docker save, and run after they were pulled again',
    requires('linux', 'root', 'dockerd', 'docker'),
    async () => {
      await using engine = await openDockerEngine('default')
      const file = folder.at('saved.tar')
      await run('skopeo', [
        '--insecure-policy',
        'copy',
        `oci:${folder.at('layout')}:1`,
        `docker-archive:${folder.at('load.tar')}:team/saved:1`,
      ])
      await engine.docker(['load', '--input', folder.at('load.tar')])
      await engine.docker(['save', '--output', file, 'team/saved:1'])
      await command('import', file)
      await engine.docker(['image', 'rm', 'team/saved:1'])
      const { stdout } = await engine.docker([
        'run',
        '--rm',
        '--network=none',
        `${registry.host}/team/saved:1`,
      ])
      expect(stdout).toBe(greeting('archives'))
    },
  )

  test('are read and written while no node runs', async () => {
    await registry.stop()
    await command('export', 'disk/index:1', '-o', folder.at('stopped.tar'))
    await command('import', folder.at('stopped.tar'), '--as', 'while/stopped')
    await registry.start()
    const stored = await pullManifest(client, 'while/stopped', '1')
    expect(stored.headers['docker-content-digest']).toBe(index.manifest.descriptor.digest)
    for (const item of index.images) await expectBlobs('while/stopped', item)
  })

  test('are fetched by warm, which fails with what is missing', async () => {
    expect((await command('warm', 'disk/image:1')).stdout).toContain('disk/image:1 is here')
    await expect(command('warm', 'disk/image:1', 'disk/none:1')).rejects.toThrow(
      'disk/none has no manifest 1',
    )
  })
})
