/** podman and buildah, with storage of their own. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { pullManifest, pushItem } from './client.ts'
import { makeImage, seededBytes } from './image.ts'
import { run } from './process.ts'
import { requires } from './requirement.ts'
import { useRegistry } from './use-registry.ts'

describe('podman and buildah', requires('linux', 'root', 'podman', 'buildah'), () => {
  const here = useRegistry()

  const tool = (command: 'podman' | 'buildah') => async (args: string[]) => {
    const storage = [
      '--root',
      here.folder.at('storage'),
      '--runroot',
      here.folder.at('run'),
      '--storage-driver',
      'vfs',
    ]
    const env = { HOME: here.folder.path, XDG_RUNTIME_DIR: here.folder.path, TMPDIR: here.folder.path }
    return (await run(command, [...storage, ...args], { env })).stdout.trim()
  }
  const podman = tool('podman')
  const buildah = tool('buildah')

  test('podman pulls, pushes and pulls again', async () => {
    const image = makeImage({ seed: 'podman', layerBytes: [300_000, 4_000_000, 0] })
    await pushItem(here.client, 'pod/app', '1', image)
    const pulled = await podman(['pull', '--quiet', '--tls-verify=false', `${here.registry.host}/pod/app:1`])
    expect(`sha256:${pulled}`).toBe(image.config.descriptor.digest)

    const name = `${here.registry.host}/pod/again:1`
    await podman(['push', '--tls-verify=false', '--digestfile', here.folder.at('digest'), pulled, name])
    const stored = await pullManifest(here.client, 'pod/again', '1')
    expect(stored.headers['docker-content-digest']).toBe(await readFile(here.folder.at('digest'), 'utf8'))

    await podman(['rmi', '--force', pulled])
    expect(await podman(['pull', '--quiet', '--tls-verify=false', name])).toBe(pulled)
  })

  test('buildah builds an image, pushes it and pulls it back', async () => {
    const bytes = seededBytes('buildah', 2_000_000)
    await writeFile(here.folder.at('file'), bytes)
    const container = await buildah(['from', 'scratch'])
    await buildah(['copy', '--quiet', container, here.folder.at('file'), '/file'])
    const id = await buildah(['commit', '--quiet', container, 'built'])
    const name = `${here.registry.host}/bud/app:1`
    await buildah([
      'push',
      '--quiet',
      '--tls-verify=false',
      '--digestfile',
      here.folder.at('digest'),
      id,
      `docker://${name}`,
    ])
    const stored = await pullManifest(here.client, 'bud/app', '1')
    expect(stored.headers['docker-content-digest']).toBe(await readFile(here.folder.at('digest'), 'utf8'))
    expect(JSON.parse(stored.body.toString()).config.digest).toBe(`sha256:${id}`)

    await buildah(['rm', container])
    await buildah(['rmi', '--force', id])
    expect(await buildah(['pull', '--quiet', '--tls-verify=false', `docker://${name}`])).toBe(id)
  })

  test(
    'podman pulls of zstd:chunked layers the parts that it lacks',
    requires('overlays', 'shoal'),
    async () => {
      const env = async (name: string) => {
        const at = (part: string) => here.folder.at(`${name}-${part}`)
        const storage = `[storage]\ndriver = "overlay"\ngraphroot = "${at('graph')}"\nrunroot = "${at('run')}"\n`
        await writeFile(
          at('conf'),
          `${storage}[storage.options]\npull_options = {enable_partial_images = "true"}\n`,
        )
        const folder = here.folder.path
        return { HOME: folder, XDG_RUNTIME_DIR: folder, TMPDIR: folder, CONTAINERS_STORAGE_CONF: at('conf') }
      }
      const [builder, reader] = [await env('builder'), await env('reader')]
      const files = here.folder.at('files')
      await mkdir(files)
      for (let file = 0; file < 40; file++)
        await writeFile(`${files}/${file}`, seededBytes(`chunked ${file}`, 50_000))
      const metrics = async (): Promise<string> => (await here.client.ask('GET', '/metrics')).body.toString()
      const parts = async (): Promise<number> =>
        Number(/requests_total\{route="blob",method="GET",code="206"\} (\d+)/.exec(await metrics())?.[1] ?? 0)
      const pull = async (tag: string): Promise<string> => {
        const { stdout, stderr } = await run(
          'podman',
          [
            '--log-level',
            'debug',
            'pull',
            '--quiet',
            '--tls-verify=false',
            `${here.registry.host}/pod/chunked:${tag}`,
          ],
          { env: reader },
        )
        expect(stderr).toContain('Retrieved partial blob')
        return stdout.trim()
      }
      for (const tag of ['1', '2']) {
        for (const file of [3, 20, 21, 37])
          await writeFile(`${files}/${file}`, seededBytes(`chunked ${file} of ${tag}`, 50_000))
        const from = (await run('buildah', ['from', 'scratch'], { env: builder })).stdout.trim()
        await run('buildah', ['copy', '--quiet', from, files, '/files'], { env: builder })
        const id = (await run('buildah', ['commit', '--quiet', from], { env: builder })).stdout.trim()
        const compression = ['--compression-format', 'zstd:chunked', '--force-compression']
        const name = `docker://${here.registry.host}/pod/chunked:${tag}`
        await run('podman', ['push', '--quiet', '--tls-verify=false', ...compression, id, name], {
          env: builder,
        })
        const before = await parts()
        expect(await pull(tag)).toBe(id)
        expect(await parts()).toBeGreaterThan(before)
      }
      expect(await metrics()).not.toMatch(/^shoal_pulls_broken_total\{[^}]*\} [1-9]/m)
    },
  )
})
