/** TLS with a certificate of the node's own authority, trusted as `shoal client-config` says, by each client. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openOwnAuthority } from '../../node/tls/own-authority.ts'
import { makeCertificate } from './certificate.ts'
import { type Client, openClient, pullManifest, pushItem } from './client.ts'
import { openContainerd } from './containerd.ts'
import { openDockerEngine } from './docker-engine.ts'
import { archive, type Image, makeImage, seededBytes, writeLayout } from './image.ts'
import { run, showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')

describe('a node with --tls self', requires('linux', 'shoal'), () => {
  let registry: Registry
  let client: Client
  let folder: ScratchFolder
  const image: Image = makeImage({ seed: 'tls', layerBytes: [300_000, 3_000_000] })

  beforeAll(async () => {
    folder = await openScratchFolder()
    registry = await openRegistry({ flags: ['--tls', 'self', '--plain-loopback'] })
    // Plain HTTP, which programs of this host may speak here.
    client = openClient(registry.port)
    await pushItem(client, 'tls/app', '1', image)
    await writeLayout(folder.at('layout'), { image })
  })
  afterAll(async () => {
    client?.[Symbol.dispose]()
    await registry?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })
  showOutputOnFailure(() => [registry])

  /** Writes what the command says below the test's folder, and gives the folder that stands for the client's own. */
  async function configure(
    program: 'docker' | 'containerd' | 'podman',
    certificates: string,
  ): Promise<string> {
    const { stdout } = await run(shoal, ['client-config', program, '--data', registry.data, '--json'])
    const { files } = JSON.parse(stdout) as { files: { path: string; content: string }[] }
    for (const { path: given, content } of files) {
      await mkdir(path.dirname(folder.at(given)), { recursive: true })
      // The names of files in it lead to where they are here.
      await writeFile(folder.at(given), content.replaceAll('"/etc/', `"${folder.at('etc')}/`))
    }
    return folder.at(certificates)
  }
  const stored = async (repository: string) =>
    (await pullManifest(client, repository, '1')).headers['docker-content-digest']

  test('says that it is ready at an address with https, and answers the health check', async () => {
    expect(registry.output()).toContain(`registry https://127.0.0.1:${registry.port}`)
    const { stdout } = await run(shoal, ['health', '--http', `127.0.0.1:${registry.port}`])
    expect(stdout).toBe('ok\n')
  })

  test('skopeo pushes and pulls', requires('skopeo'), async () => {
    const certificates = await configure('podman', `etc/containers/certs.d/${registry.host}`)
    const flags = ['--dest-cert-dir', certificates, '--src-cert-dir', certificates]
    const remote = `docker://${registry.host}/tls/skopeo:1`
    await run('skopeo', ['copy', ...flags, `oci:${folder.at('layout')}:image`, remote])
    expect(await stored('tls/skopeo')).toBe(image.manifest.descriptor.digest)
    await run('skopeo', ['copy', ...flags, remote, `oci:${folder.at('back')}:image`])
    await expect(run('skopeo', ['inspect', remote])).rejects.toThrow(
      /certificate signed by unknown authority/,
    )
  })

  test('podman pulls and pushes', requires('root', 'podman'), async () => {
    const certificates = await configure('podman', `etc/containers/certs.d/${registry.host}`)
    const storage = ['--root', folder.at('storage'), '--runroot', folder.at('run'), '--storage-driver', 'vfs']
    const env = { HOME: folder.path, XDG_RUNTIME_DIR: folder.path, TMPDIR: folder.path }
    const podman = (...args: string[]) => run('podman', [...storage, ...args], { env })
    const name = `${registry.host}/tls/app:1`
    await podman('pull', '--quiet', '--cert-dir', certificates, name)
    await podman('push', '--cert-dir', certificates, name, `docker://${registry.host}/tls/podman:1`)
    expect(await stored('tls/podman')).toMatch(/^sha256:/)
  })

  test('oras pushes and pulls', requires('oras'), async () => {
    const certificates = await configure('podman', `etc/containers/certs.d/${registry.host}`)
    const bytes = seededBytes('tls-oras', 1_000_000)
    await writeFile(folder.at('file.bin'), bytes)
    const name = `${registry.host}/tls/oras:1`
    const oras = (...args: string[]) =>
      run('oras', [...args, '--ca-file', path.join(certificates, 'ca.crt')], {
        env: { DOCKER_CONFIG: folder.at('client') },
      })
    await oras('push', '--disable-path-validation', name, `${folder.at('file.bin')}:x/y`)
    await writeFile(folder.at('file.bin'), '')
    await oras('pull', '--allow-path-traversal', name)
    expect((await readFile(folder.at('file.bin'))).equals(bytes)).toBe(true)
  })

  test('containerd pulls and pushes', requires('root', 'containerd', 'ctr'), async () => {
    await using containerd = await openContainerd()
    const hosts = await configure('containerd', 'etc/containerd/certs.d')
    const name = `${registry.host}/tls/app:1`
    await containerd.ctr(['images', 'pull', '--hosts-dir', hosts, name])
    await containerd.ctr(['images', 'push', '--hosts-dir', hosts, `${registry.host}/tls/ctr:1`, name])
    expect(await stored('tls/ctr')).toBe(image.manifest.descriptor.digest)
    const other = await openOwnAuthority(folder.path)
    await writeFile(path.join(hosts, registry.host, 'ca.crt'), other.certificate)
    await expect(containerd.ctr(['images', 'pull', '--hosts-dir', hosts, name])).rejects.toThrow(
      /unknown authority/,
    )
  })

  test(
    'docker pushes and pulls, as it trusts loopback whoever vouches for it',
    requires('root', 'dockerd', 'docker'),
    async () => {
      await using engine = await openDockerEngine('default')
      const name = `${registry.host}/tls/docker:1`
      await writeFile(folder.at('app.tar'), archive(image, name))
      await engine.docker(['load', '--input', folder.at('app.tar')])
      await engine.docker(['push', name])
      await engine.docker(['rmi', '--force', name])
      await engine.docker(['pull', name])
      expect(registry.output()).not.toContain('"level":50')
    },
  )
})

describe('a node with a certificate of somebody’s', requires('shoal', 'openssl', 'skopeo'), () => {
  test('shows it, and tells plain HTTP that it speaks TLS', async () => {
    await using folder = await openScratchFolder()
    const { certificate, key } = await makeCertificate(folder.path, ['localhost'])
    await using registry = await openRegistry({ flags: ['--tls-cert', certificate, '--tls-key', key] })
    await mkdir(folder.at('trusted'))
    await writeFile(folder.at('trusted/ca.crt'), await readFile(certificate))
    await writeLayout(folder.at('layout'), { image: makeImage({ seed: 'given', layerBytes: [1000] }) })
    const remote = `docker://${registry.host}/tls/given:1`
    await run('skopeo', [
      'copy',
      '--dest-cert-dir',
      folder.at('trusted'),
      `oci:${folder.at('layout')}:image`,
      remote,
    ])
    using client = openClient(registry.port)
    const answer = await client.ask('GET', '/v2/')
    expect([answer.status, answer.body.toString()]).toEqual([400, expect.stringContaining('speaks HTTPS')])
  })
})
