/** What export writes, as other tools read it, and what other tools write, as import reads it. */
import path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { pullManifest, pushItem, pushManifest } from './client.ts'
import { openDockerEngine } from './docker-engine.ts'
import { greeting, type Image, jsonContent, makeImage, makeIndex, sha256 } from './image.ts'
import { run } from './process.ts'
import { requires } from './requirement.ts'
import { openUpstreamRegistry, upstreamNeeds, upstreamUser } from './upstream-registry.ts'
import { useRegistry } from './use-registry.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')

describe('images on a disk', requires('shoal'), () => {
  const image = makeImage({ seed: 'archives' })
  const index = makeIndex('archives-index')
  const here = useRegistry()

  beforeAll(async () => {
    await pushItem(here.client, 'disk/image', '1', image)
    await pushItem(here.client, 'disk/index', '1', index)
    await command('export', 'disk/image:1', '--output', here.folder.at('layout'))
    await command('export', 'disk/index:1', '-o', here.folder.at('index.tar'))
  })

  const command = (...args: string[]) => run(shoal, [...args, '--data', here.registry.data])

  /** Its config and layers are there under the name, whatever became of its manifest. */
  const expectBlobs = async (name: string, { config, layers }: Image) => {
    for (const { descriptor } of [config, ...layers]) {
      const answer = await here.client.ask('GET', `/v2/${name}/blobs/${descriptor.digest}`)
      expect(answer.status).toBe(200)
      expect(sha256(answer.body)).toBe(descriptor.digest)
    }
  }

  test('are read by skopeo, from a folder and from a tar file', requires('skopeo'), async () => {
    const policy = ['--insecure-policy', 'copy']
    await run('skopeo', [...policy, `oci:${here.folder.at('layout')}:1`, `dir:${here.folder.at('image')}`])
    await run('skopeo', [
      ...policy,
      '--all',
      `oci-archive:${here.folder.at('index.tar')}:1`,
      `dir:${here.folder.at('index')}`,
    ])
    const raw = await run('skopeo', ['inspect', '--raw', `oci-archive:${here.folder.at('index.tar')}:1`])
    expect(sha256(Buffer.from(raw.stdout))).toBe(index.manifest.descriptor.digest)
  })

  test(
    'are those of a docker-registry, as it runs, and from its storage when it does not',
    requires(...upstreamNeeds),
    async () => {
      await using old = await openUpstreamRegistry({ auth: 'basic' })
      await old.push('old/index', '1', index)
      await old.push('old/image', '1', image)
      const { username, password } = upstreamUser
      const asked = [
        'import',
        '--from',
        old.url,
        '--repositories',
        'old/*',
        '--user',
        username,
        '--password-stdin',
      ]
      const from = await run(shoal, [...asked, '--data', here.registry.data], { input: `${password}\n` })
      expect(from.stdout).toContain(`old/index:1  ${index.manifest.descriptor.digest}\n`)
      expect(from.stdout).toMatch(/^2 images of 2 repositories are here, .* 0 failed$/m)
      await old.push('old/image', '2', makeImage({ seed: 'pushed later' }))
      await old.stop()
      const { stdout } = await command('import', 'docker-registry', old.storage, '--json')
      expect(JSON.parse(stdout)).toMatchObject({ repositories: 2, imported: 3, failed: 0 })
      await expectBlobs('old/image', makeImage({ seed: 'pushed later' }))
      const { body } = await pullManifest(here.client, 'old/index', '1')
      expect(sha256(body)).toBe(index.manifest.descriptor.digest)
    },
  )

  test('are read by oras, with what refers to them', requires('oras'), async () => {
    const note = jsonContent('application/vnd.oci.image.manifest.v1+json', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType: 'application/vnd.example.note',
      config: image.config.descriptor,
      layers: [],
      subject: image.manifest.descriptor,
    })
    await pushManifest(here.client, 'disk/image', note.descriptor.digest, note)
    await command('export', 'disk/image:1', '-o', here.folder.at('layout'))
    const { stdout } = await run('oras', ['discover', '--oci-layout', `${here.folder.at('layout')}:1`])
    expect(stdout).toContain(note.descriptor.digest)
    const manifest = await run('oras', ['manifest', 'fetch', '--oci-layout', `${here.folder.at('layout')}:1`])
    expect(sha256(Buffer.from(manifest.stdout))).toBe(image.manifest.descriptor.digest)
  })

  test(
    'are imported as skopeo writes them, also in the format of old docker',
    requires('skopeo'),
    async () => {
      const from = `oci:${here.folder.at('layout')}:1`
      await run('skopeo', [
        '--insecure-policy',
        'copy',
        from,
        `oci-archive:${here.folder.at('skopeo.tar')}:9`,
      ])
      await run('skopeo', [
        '--insecure-policy',
        'copy',
        from,
        `docker-archive:${here.folder.at('old.tar')}:old/docker:1`,
      ])
      await command('import', here.folder.at('skopeo.tar'), '--as', 'from/skopeo')
      const stored = await pullManifest(here.client, 'from/skopeo', '9')
      expect(stored.headers['docker-content-digest']).toBe(image.manifest.descriptor.digest)
      await expectBlobs('from/skopeo', image)

      await command('import', here.folder.at('old.tar'))
      const { layers } = JSON.parse((await pullManifest(here.client, 'old/docker', '1')).body.toString()) as {
        layers: { digest: string }[]
      }
      expect(layers).toHaveLength(image.layers.length)
      for (const { digest } of layers) {
        const answer = await here.client.ask('GET', `/v2/old/docker/blobs/${digest}`)
        expect(sha256(answer.body)).toBe(digest)
      }
    },
  )

  test(
    'come from docker save, and run after they were pulled again',
    requires('linux', 'root', 'dockerd', 'docker'),
    async () => {
      await using engine = await openDockerEngine('default')
      const file = here.folder.at('saved.tar')
      await run('skopeo', [
        '--insecure-policy',
        'copy',
        `oci:${here.folder.at('layout')}:1`,
        `docker-archive:${here.folder.at('load.tar')}:team/saved:1`,
      ])
      await engine.docker(['load', '--input', here.folder.at('load.tar')])
      await engine.docker(['save', '--output', file, 'team/saved:1'])
      await command('import', file)
      await engine.docker(['image', 'rm', 'team/saved:1'])
      const { stdout } = await engine.docker([
        'run',
        '--rm',
        '--network=none',
        `${here.registry.host}/team/saved:1`,
      ])
      expect(stdout).toBe(greeting('archives'))
    },
  )

  test('are read and written while no node runs', async () => {
    await here.registry.stop()
    await command('export', 'disk/index:1', '-o', here.folder.at('stopped.tar'))
    await command('import', here.folder.at('stopped.tar'), '--as', 'while/stopped')
    expect((await command('verify')).stdout).toMatch(/: all whole\n$/)
    await here.registry.start()
    const stored = await pullManifest(here.client, 'while/stopped', '1')
    expect(stored.headers['docker-content-digest']).toBe(index.manifest.descriptor.digest)
    for (const item of index.images) await expectBlobs('while/stopped', item)
  })

  test('are fetched by warm, which fails with what is missing', async () => {
    expect((await command('warm', 'disk/image:1')).stdout).toContain('disk/image:1 is here')
    await expect(command('warm', 'disk/image:1', 'disk/none:1')).rejects.toThrow('disk/none has no tag 1')
  })
})
