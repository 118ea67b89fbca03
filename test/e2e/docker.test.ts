/** A Docker engine, with each of its image stores, against one node. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callRunningNode } from '../../node/admin/client.ts'
import type { PeerList } from '../../node/operations/operations.ts'
import { until } from '../swarm/fixture.ts'
import { type Client, openClient, pullManifest } from './client.ts'
import { type DockerEngine, openDockerEngine } from './docker-engine.ts'
import { archive, greeting, makeImage, nativeArchitecture, sha256 } from './image.ts'
import { run, showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'
import { hasSecondCopy } from './second-copy.ts'

interface ManifestJson {
  config: { digest: string; size: number }
  layers: { digest: string; size: number }[]
}

const stores = ['classic', 'containerd'] as const
const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
/** What its first stage makes is in no image, so that a cache of `mode=max` alone has it. */
const dockerfile = [
  'FROM scratch AS made',
  'COPY file /made',
  'FROM scratch',
  'COPY --from=made /made /taken',
  'COPY file /other',
].join('\n')

describe.each(stores)(
  'docker with its %s image store',
  requires('linux', 'root', 'dockerd', 'docker'),
  (store) => {
    let registry: Registry
    let engine: DockerEngine
    let client: Client

    beforeAll(async () => {
      registry = await openRegistry()
      engine = await openDockerEngine(store)
      client = openClient(registry.port)
    })
    afterAll(async () => {
      client?.[Symbol.dispose]()
      await engine?.[Symbol.asyncDispose]()
      await registry?.[Symbol.asyncDispose]()
    })
    showOutputOnFailure(() => [registry, engine])

    const load = async (seed: string, layerBytes: number[], name: string) => {
      const image = makeImage({ seed, layerBytes })
      const file = engine.folder.at(`${seed}.tar`)
      await writeFile(file, archive(image, name))
      await engine.docker(['load', '--input', file])
      return image
    }
    const inspect = async (name: string, what: string) =>
      (await engine.docker(['image', 'inspect', '--format', `{{${what}}}`, name])).stdout.trim()

    test('pushes an image of several layers, forgets it, pulls it back and runs it', async () => {
      const name = `${registry.host}/team/app:1`
      const image = await load(`docker-${store}`, [200_000, 12_000_000, 0, 70_000], name)
      const before = await inspect(name, '.Id')

      const pushed = await engine.docker(['push', name])
      const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed.stdout)?.[1]
      const stored = await pullManifest(client, 'team/app', '1')
      expect(stored.headers['docker-content-digest']).toBe(digest)
      expect(sha256(stored.body)).toBe(digest)

      const manifest: ManifestJson = JSON.parse(stored.body.toString())
      expect(manifest.config.digest).toBe(image.config.descriptor.digest)
      expect(manifest.layers).toHaveLength(image.layers.length)
      // The classic store compresses again as it pushes, so only what it wrote down can be compared.
      for (const { digest: layer, size } of [manifest.config, ...manifest.layers]) {
        const blob = await client.ask('GET', `/v2/team/app/blobs/${layer}`)
        expect([sha256(blob.body), blob.body.length]).toEqual([layer, size])
      }

      await engine.docker(['rmi', '--force', name])
      await expect(inspect(name, '.Id')).rejects.toThrow('No such image')
      const pulled = await engine.docker(['pull', name])
      expect(pulled.stdout).toContain(`Digest: ${digest}`)
      expect(await inspect(name, '.Id')).toBe(before)
      expect(await inspect(name, 'index .RepoDigests 0')).toBe(`${registry.host}/team/app@${digest}`)
      const { stdout } = await engine.docker(['run', '--rm', '--network=host', name])
      expect(stdout).toBe(greeting(`docker-${store}`))
    })

    test('pulls by digest', async () => {
      const name = `${registry.host}/team/pinned`
      await load(`pinned-${store}`, [50_000], `${name}:1`)
      const pushed = await engine.docker(['push', `${name}:1`])
      const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed.stdout)?.[1] ?? ''
      const before = await inspect(`${name}:1`, '.Id')
      await engine.docker(['rmi', '--force', `${name}:1`])
      await engine.docker(['pull', `${name}@${digest}`])
      expect(await inspect(`${name}@${digest}`, '.Id')).toBe(before)
    })

    test('mounts layers that another repository holds, instead of sending them again', async () => {
      const first = `${registry.host}/team/first:1`
      const second = `${registry.host}/team/second:1`
      await load(`mount-${store}`, [400_000, 300_000], first)
      const one = await engine.docker(['push', first])
      await engine.docker(['tag', first, second])
      const two = await engine.docker(['push', second])
      expect(two.stdout).toContain('Mounted from team/first')
      const digestOf = (text: string) => /digest: (sha256:[0-9a-f]{64})/.exec(text)?.[1]
      expect(digestOf(two.stdout)).toBe(digestOf(one.stdout))
    })

    test('says that an image is not there', async () => {
      await expect(engine.docker(['pull', `${registry.host}/team/nothing:1`])).rejects.toThrow(
        /manifest (unknown|for .* not found)|not found/,
      )
    })

    test('hears that a node is full, and does not try again and again', requires('shoal'), async () => {
      await using full = await openRegistry({ flags: ['--min-free', '900TiB'] })
      const name = `${full.host}/team/full:1`
      await load(`full-${store}`, [10_000], name)
      await expect(engine.docker(['push', name])).rejects.toThrow('no space left on device')
      using asking = openClient(full.port)
      const metrics = (await asking.ask('GET', '/metrics')).body.toString()
      const refused = /^shoal_http_requests_total\{[^}]*code="507"[^}]*\} (\d+)$/m.exec(metrics)?.[1]
      // The layer and the config, each once.
      expect(Number(refused)).toBeLessThanOrEqual(2)
    })

    test('finds repositories with docker search', requires('shoal'), async () => {
      await load(`search-${store}`, [10_000], `${registry.host}/zoo/otter:1`)
      await engine.docker(['push', `${registry.host}/zoo/otter:1`])
      const list = async (word: string) =>
        (await engine.docker(['search', '--format', '{{.Name}}', `${registry.host}/${word}`])).stdout
      expect(await list('otter')).toContain('zoo/otter')
      expect(await list('walrus')).toBe('')
    })

    // The classic store exports no cache.
    if (store === 'containerd')
      test(
        'builds with a cache that the registry has, as an index or as an image',
        requires('shoal', 'docker-buildx'),
        async () => {
          const context = engine.folder.at('context')
          await mkdir(context)
          await writeFile(path.join(context, 'file'), 'once')
          await writeFile(path.join(context, 'Dockerfile'), dockerfile)
          const cache = (kind: string) => `type=registry,ref=${registry.host}/team/built:${kind}`
          const build = (...flags: string[]) =>
            engine.docker([
              'buildx',
              'build',
              '--progress',
              'plain',
              '--push',
              '--tag',
              `${registry.host}/team/built:1`,
              ...flags,
              context,
            ])
          const typeOf = async (kind: string) =>
            (await pullManifest(client, 'team/built', kind)).headers['content-type']
          for (const kind of ['index', 'manifest']) {
            await build('--cache-to', `${cache(kind)},mode=max,image-manifest=${kind === 'manifest'}`)
            expect(await typeOf(kind)).toBe(`application/vnd.oci.image.${kind}.v1+json`)
          }
          await run(shoal, ['gc', '--grace', '1s', '--data', registry.data])
          for (const kind of ['index', 'manifest']) {
            await engine.docker(['buildx', 'prune', '--all', '--force'])
            const { stderr } = await build('--cache-from', cache(kind))
            expect(stderr.match(/ CACHED$/gm)).toHaveLength(3)
          }
        },
      )

    if (store === 'containerd')
      test(
        'pulls what it pushed from every other node after the host died: at once with --ack 2, without after the second copy',
        requires('shoal'),
        async () => {
          const call = async <T>({ data }: Registry, what: string): Promise<T> =>
            (await callRunningNode(data, what, {}, () => undefined))?.result as T
          const { token } = await call<{ token: string }>(registry, 'token')
          await using opened = new AsyncDisposableStack()
          const join = async (...flags: string[]) =>
            opened.use(await openRegistry({ flags: ['--join', token, ...flags] }))
          const [first, second, third] = await Promise.all([join('--ack', '2'), join(), join()])
          const isMesh = async (nodes: Registry[]) =>
            (await Promise.all(nodes.map((node) => call<PeerList>(node, 'peers')))).every(
              ({ members }) => members.length === 3,
            )
          await until('a mesh', () => isMesh([first, second, third, registry]))

          const push = async (node: Registry, tag: string): Promise<string> => {
            const name = `${node.host}/team/survives:${tag}`
            await load(tag, [200_000, 3_000_000], name)
            const id = await inspect(name, '.Id')
            await engine.docker(['push', name])
            await engine.docker(['rmi', '--force', name])
            return id
          }
          const die = async (node: Registry): Promise<void> => {
            await node.kill()
            await rm(node.data, { recursive: true })
          }
          const pull = async (node: Registry, tag: string, id: string): Promise<void> => {
            const name = `${node.host}/team/survives:${tag}`
            const { stdout } = await engine.docker(['pull', name])
            expect(stdout).not.toContain('Already exists')
            expect(await inspect(name, '.Id')).toBe(id)
            await engine.docker(['rmi', '--force', name])
          }

          const acknowledged = await push(first, 'acknowledged')
          await die(first)
          for (const node of [second, third, registry]) await pull(node, 'acknowledged', acknowledged)

          const later = await push(second, 'later')
          await until('the second copy', () => hasSecondCopy(second.data, 'team/survives:later'))
          await die(second)
          for (const node of [third, registry]) await pull(node, 'later', later)
        },
      )

    test('runs on the architecture that the images are made for', async () => {
      const { stdout } = await engine.docker(['version', '--format', '{{.Server.Arch}}'])
      expect(stdout.trim()).toBe(nativeArchitecture)
    })
  },
)
