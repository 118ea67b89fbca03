/** The clients that people have, on hosts that reach nothing but each other, pull through the mirror of a cluster of two. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ClientConfig, ClientName } from '../../node/client-config.ts'
import { pushItem } from '../e2e/client.ts'
import { type Containerd, openContainerd } from '../e2e/containerd.ts'
import { type DockerEngine, openDockerEngine } from '../e2e/docker-engine.ts'
import { contentsOf, greeting, makeImage, makeIndex } from '../e2e/image.ts'
import { run, showOutputOnFailure } from '../e2e/process.ts'
import { requires } from '../e2e/requirement.ts'
import {
  openUpstreamRegistry,
  type UpstreamRegistry,
  upstreamNeeds,
  upstreamUser,
} from '../e2e/upstream-registry.ts'
import { until } from '../swarm/fixture.ts'
import { type ClusterNode, isMesh, openClusterNode } from './cluster-node.ts'
import { type NetworkHost, networkNeeds, openNetwork } from './network.ts'

const clients = ['nsenter', 'dockerd', 'docker', 'containerd', 'ctr', 'podman', 'skopeo']

describe(
  'clients that pull through a mirror',
  requires(...networkNeeds, ...upstreamNeeds, ...clients),
  () => {
    const stack = new AsyncDisposableStack()
    const image = makeImage({ seed: 'mirrored', layerBytes: [200_000, 5_000_000] })
    const index = makeIndex('mirrored-index')
    /** Behind a password and TLS, in the place of Docker Hub. */
    let hub: UpstreamRegistry
    /** Behind a token server. */
    let quay: UpstreamRegistry
    let left: ClusterNode
    let right: ClusterNode
    let prefixed: DockerEngine
    let mirrored: DockerEngine
    let containerd: Containerd

    beforeAll(async () => {
      const network = stack.use(await openNetwork(3))
      const [outside, first, second] = network.hosts
      if (!outside || !first || !second) throw new Error('three hosts')
      // Some clients look names up that they do not need, and wait long where nobody answers.
      for (const host of [first, second]) {
        const reject = ['-A', 'OUTPUT', '-p', 'udp', '--dport', '53', '-j', 'REJECT']
        const { command, args } = host.command('iptables', reject)
        await run(command, args)
      }
      hub = stack.use(await openUpstreamRegistry({ auth: 'basic', tls: true, at: outside }))
      quay = stack.use(await openUpstreamRegistry({ auth: 'token', at: outside }))
      for (const repository of ['library/app', 'library/own']) await hub.push(repository, '1', image)
      await quay.push('team/app', '1', image)
      await quay.push('team/index', '1', index)
      const upstream = [
        { name: 'docker.io', url: hub.url, ca: hub.certificateAuthority, share: true, ...upstreamUser },
        { name: 'quay.io', url: quay.url, share: true, ...upstreamUser },
      ]
      const start = async (host: NetworkHost, more: string[]): Promise<ClusterNode> => {
        const config = path.join(outsideFolder(), `${host.name}.json`)
        await writeFile(config, JSON.stringify({ upstream }), { mode: 0o600 })
        return stack.use(await openClusterNode(host, { flags: ['--config', config, ...more] }))
      }
      left = await start(first, [])
      right = await start(second, ['--join', await left.shoal('token')])
      await until('the two nodes to meet', () => isMesh([left, right]), 30_000)
      prefixed = stack.use(await openDockerEngine('containerd', { command: enter(first) }))
      const { files } = await configOf(right, 'docker')
      const settings = JSON.parse(files.find((file) => file.path.endsWith('daemon.json'))?.content ?? '')
      mirrored = stack.use(await openDockerEngine('classic', { command: enter(second), settings }))
      containerd = stack.use(await openContainerd({ command: enter(first) }))
    }, 120_000)
    afterAll(async () => await stack.disposeAsync(), 60_000)
    showOutputOnFailure(() => [hub, quay, left, right, prefixed, mirrored, containerd])

    const outsideFolder = (): string => path.dirname(hub.certificateAuthority ?? '')
    /** What the command tells people to write. */
    const configOf = async (node: ClusterNode, client: ClientName): Promise<ClientConfig> =>
      JSON.parse(await node.shoal('client-config', client, '--json'))

    test('docker pulls by prefix, without a line of configuration, and may not push there', async () => {
      const name = 'localhost:5000/docker.io/library/app:1'
      const pulled = await prefixed.docker(['pull', name])
      expect(pulled.stdout).toContain(`Digest: ${image.manifest.descriptor.digest}`)
      const { stdout } = await prefixed.docker(['run', '--rm', '--network=host', name])
      expect(stdout).toBe(greeting('mirrored'))
      const other = 'localhost:5000/docker.io/library/app:2'
      await prefixed.docker(['tag', name, other])
      await expect(prefixed.docker(['push', other])).rejects.toThrow(/mirrors docker\.io|403|denied/)
    })

    test('docker pulls by the name that it always had, from its registry mirror', async () => {
      const pulled = await mirrored.docker(['pull', 'app:1'])
      expect(pulled.stdout).toContain(`Digest: ${image.manifest.descriptor.digest}`)
      const { stdout } = await mirrored.docker(['run', '--rm', '--network=host', 'app:1'])
      expect(stdout).toBe(greeting('mirrored'))
    })

    test('containerd pulls what is behind a token server, by its hosts.toml', async () => {
      const folder = containerd.folder.at('certs.d')
      for (const { path: file, content } of (await configOf(left, 'containerd')).files) {
        const place = path.join(folder, path.basename(path.dirname(file)), 'hosts.toml')
        await mkdir(path.dirname(place), { recursive: true })
        await writeFile(place, content)
      }
      for (const name of ['quay.io/team/app:1', 'docker.io/library/app:1']) {
        await containerd.ctr(['images', 'pull', '--hosts-dir', folder, name])
      }
      const held = (await containerd.ctr(['content', 'ls', '--quiet'])).stdout
      for (const { descriptor } of contentsOf(image)) expect(held).toContain(descriptor.digest)
    })

    test('podman and skopeo pull from the mirror in their registries.conf', async () => {
      const { folder } = right
      const config = folder.at('.config/containers/registries.conf')
      await mkdir(path.dirname(config), { recursive: true })
      await writeFile(
        config,
        (await configOf(right, 'podman')).files.map(({ content }) => content).join('\n'),
      )
      const tool = async (...command: string[]) => {
        const env = [`HOME=${folder.path}`, `TMPDIR=${folder.path}`]
        return (await right.run('env', ...env, ...command)).stdout.trim()
      }
      const storage = ['--root', folder.at('pods'), '--runroot', folder.at('run'), '--storage-driver', 'vfs']
      for (const name of ['docker.io/library/app:1', 'quay.io/team/app:1']) {
        const id = await tool('podman', ...storage, 'pull', '--quiet', name)
        expect(`sha256:${id}`).toBe(image.config.descriptor.digest)
      }
      await tool('skopeo', 'copy', '--all', 'docker://quay.io/team/index:1', `oci:${folder.at('index')}:1`)
      for (const { descriptor, bytes } of contentsOf(index)) {
        const file = folder.at('index', 'blobs/sha256', descriptor.digest.slice('sha256:'.length))
        expect((await readFile(file)).equals(bytes), descriptor.digest).toBe(true)
      }
    })

    test('nothing of that came from outside more than once', () => {
      for (const { requests } of [hub, quay]) {
        const served = requests.filter(({ status, method }) => status === 200 && method === 'GET')
        const paths = served.map(({ path: target }) => target).filter((target) => target !== '/v2/')
        expect(paths.length).toBeGreaterThan(3)
        expect(paths.toSorted()).toEqual([...new Set(paths)].toSorted())
      }
    })

    test('a name that the cluster has is its own, whatever is outside', async () => {
      const own = makeImage({ seed: 'own', layerBytes: [1_000] })
      await pushItem(left.client, 'library/own', '1', own)
      const pulled = await mirrored.docker(['pull', 'own:1'])
      expect(pulled.stdout).toContain(`Digest: ${own.manifest.descriptor.digest}`)
    })

    test('what was seen is pulled when the outside is gone', async () => {
      await Promise.all([hub.stop(), quay.stop()])
      await mirrored.docker(['rmi', '--force', 'app:1'])
      await mirrored.docker(['pull', 'app:1'])
      const name = 'docker://localhost:5000/quay.io/team/index:1'
      await left.run(
        'skopeo',
        'copy',
        '--all',
        '--src-tls-verify=false',
        name,
        `dir:${left.folder.at('again')}`,
      )
    })
  },
)

/** `ip netns exec` would hide the control groups, which an engine needs. */
function enter(host: NetworkHost) {
  return (program: string, args: string[]) => ({
    command: 'nsenter',
    args: [`--net=/run/netns/${host.name}`, program, ...args],
  })
}
