/** Clients behind a connection that breaks: what they resume, and what must never reach them. */
import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Client, openClient, pullManifest, pushItem } from './client.ts'
import { openContainerd } from './containerd.ts'
import { openDockerEngine } from './docker-engine.ts'
import { type FaultProxy, openFaultProxy } from './fault-proxy.ts'
import { archive, type Image, makeImage, writeLayout } from './image.ts'
import { run, showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

// Far enough into the large layer that clients think it worth resuming.
const CUT_AT = 6_000_000
const LAYERS = [100_000, 16_000_000]

describe('behind a connection that breaks', () => {
  let registry: Registry
  let folder: ScratchFolder
  let client: Client
  let proxy: FaultProxy
  let image: Image

  beforeAll(async () => {
    folder = await openScratchFolder()
    registry = await openRegistry()
    client = openClient(registry.port)
    image = makeImage({ seed: 'faults', layerBytes: LAYERS })
    await pushItem(client, 'f/stored', '1', image)
    await writeLayout(folder.at('layout'), { image: makeImage({ seed: 'faults-push', layerBytes: LAYERS }) })
  })
  afterAll(async () => {
    client?.[Symbol.dispose]()
    await registry?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    proxy = await openFaultProxy(registry.port)
  })
  afterEach(async () => {
    await proxy[Symbol.asyncDispose]()
  })
  showOutputOnFailure(() => [registry])

  const rangesAsked = () =>
    proxy.requests.filter((head) => /^GET .*\r\n(.*\r\n)*range: bytes=\d+-/i.test(head))
  const expectStored = async (repository: string, digest: string) => {
    const { headers } = await pullManifest(client, repository, '1')
    expect(headers['docker-content-digest']).toBe(digest)
  }

  describe('skopeo', requires('skopeo'), () => {
    test('resumes a pull where it broke off', async () => {
      proxy.cut('down', CUT_AT)
      await run('skopeo', [
        ...['copy', '--src-tls-verify=false'],
        ...[`docker://${proxy.host}/f/stored:1`, `oci:${folder.at('back')}:image`],
      ])
      expect(proxy.faults).toBe(1)
      expect(rangesAsked()).toHaveLength(1)
      for (const { descriptor, bytes } of image.layers) {
        const file = folder.at('back/blobs/sha256', descriptor.digest.slice(7))
        expect((await readFile(file)).equals(bytes)).toBe(true)
      }
    })

    test('refuses a blob with one wrong bit', async () => {
      proxy.flip(CUT_AT)
      const copy = run('skopeo', [
        ...['copy', '--src-tls-verify=false'],
        ...[`docker://${proxy.host}/f/stored:1`, `oci:${folder.at('flipped')}:image`],
      ])
      await expect(copy).rejects.toThrow(/[Dd]igest did not match/)
      expect(proxy.faults).toBe(1)
    })

    test('succeeds when it pushes again after a push that broke off', async () => {
      const push = () =>
        run('skopeo', [
          ...['copy', '--dest-tls-verify=false', '--preserve-digests'],
          ...[`oci:${folder.at('layout')}:image`, `docker://${proxy.host}/f/pushed:1`],
        ])
      proxy.cut('up', CUT_AT)
      await expect(push()).rejects.toThrow()
      expect(proxy.faults).toBe(1)
      await push()
      const { manifest } = makeImage({ seed: 'faults-push', layerBytes: LAYERS })
      await expectStored('f/pushed', manifest.descriptor.digest)
    })
  })

  describe('podman', requires('linux', 'root', 'podman'), () => {
    test('resumes a pull where it broke off', async () => {
      proxy.cut('down', CUT_AT)
      const storage = [
        '--root',
        folder.at('storage'),
        '--runroot',
        folder.at('run'),
        '--storage-driver',
        'vfs',
      ]
      const env = { HOME: folder.path, XDG_RUNTIME_DIR: folder.path, TMPDIR: folder.path }
      const name = `${proxy.host}/f/stored:1`
      const { stdout } = await run('podman', [...storage, 'pull', '--quiet', '--tls-verify=false', name], {
        env,
      })
      expect(`sha256:${stdout.trim()}`).toBe(image.config.descriptor.digest)
      expect(proxy.faults).toBe(1)
      expect(rangesAsked()).toHaveLength(1)
    })
  })

  describe('containerd', requires('linux', 'root', 'containerd', 'ctr'), () => {
    test('resumes a pull where it broke off', async () => {
      await using containerd = await openContainerd()
      proxy.cut('down', CUT_AT)
      await containerd.ctr(['images', 'pull', '--plain-http', `${proxy.host}/f/stored:1`])
      expect(proxy.faults).toBe(1)
      expect(rangesAsked()).toHaveLength(1)
    })
  })

  describe('docker', requires('linux', 'root', 'dockerd', 'docker'), () => {
    test('finishes a push whose connection broke in the middle of a layer', async () => {
      await using engine = await openDockerEngine('classic')
      const name = `${proxy.host}/f/docker:1`
      const pushed = makeImage({ seed: 'faults-docker', layerBytes: LAYERS })
      await writeFile(engine.folder.at('image.tar'), archive(pushed, name))
      await engine.docker(['load', '--input', engine.folder.at('image.tar')])
      proxy.cut('up', CUT_AT)
      const { stdout } = await engine.docker(['push', name])
      expect(proxy.faults).toBe(1)
      await expectStored('f/docker', /digest: (sha256:[0-9a-f]{64})/.exec(stdout)?.[1] ?? '')
    })

    test('resumes a pull where it broke off', async () => {
      await using engine = await openDockerEngine('classic')
      const name = `${proxy.host}/f/stored:1`
      proxy.cut('down', CUT_AT)
      await engine.docker(['pull', name])
      expect(proxy.faults).toBe(1)
      expect(rangesAsked()).toHaveLength(1)
      const { stdout } = await engine.docker(['image', 'inspect', '--format', '{{.Id}}', name])
      expect(stdout.trim()).toBe(image.config.descriptor.digest)
    })
  })
})
