import { hostname } from 'node:os'
import { describe, expect, it } from 'vitest'
import { clientConfig } from '../../node/client-config.ts'
import { readSettings } from '../../node/settings/settings.ts'

const settingsOf = (...args: string[]) => readSettings(args, {}).settings
const both = ['--upstream', 'docker.io', '--upstream', 'registry.corp=https://registry.corp:8443']

describe('the configuration of clients', () => {
  it('names the node as a mirror to dockerd', () => {
    const { files, notes } = clientConfig('docker', settingsOf(...both))
    const daemon = files.find(({ path }) => path === '/etc/docker/daemon.json')
    expect(JSON.parse(daemon?.content ?? '')).toEqual({ 'registry-mirrors': ['http://127.0.0.1:5000'] })
    expect(notes.join()).toContain('docker pull 127.0.0.1:5000/registry.corp/NAME:TAG')
  })

  it('has the files of docker’s containerd image store as well, and says which engine reads which', () => {
    const { files, notes } = clientConfig('docker', settingsOf(...both))
    expect(files.map(({ path }) => path)).toEqual([
      '/etc/docker/certs.d/docker.io/hosts.toml',
      '/etc/docker/certs.d/registry.corp/hosts.toml',
      '/etc/docker/daemon.json',
    ])
    expect(files[1]?.content).toBe(
      'server = "https://registry.corp:8443"\n\n[host."http://127.0.0.1:5000"]\n  capabilities = ["pull", "resolve"]\n',
    )
    expect(notes.join('\n')).toMatch(/docker info .*io\.containerd\.snapshotter\.v1/)
    expect(notes.join('\n')).toContain('With the older store: daemon.json.')
  })

  it('tells dockerd that it mirrors Docker Hub alone', () => {
    const { notes } = clientConfig('docker', settingsOf('--upstream', 'quay.io'))
    expect(notes.join()).toContain('make docker.io the first upstream')
  })

  it('has a hosts.toml for each upstream of containerd', () => {
    const { files } = clientConfig('containerd', settingsOf(...both, '--http', '0.0.0.0:80'))
    expect(files.map(({ path }) => path)).toEqual([
      '/etc/containerd/certs.d/docker.io/hosts.toml',
      '/etc/containerd/certs.d/registry.corp/hosts.toml',
    ])
    expect(files[1]?.content).toBe(
      'server = "https://registry.corp:8443"\n\n[host."http://127.0.0.1:80"]\n  capabilities = ["pull", "resolve"]\n',
    )
  })

  it('has a mirror for each registry of podman', () => {
    const { files } = clientConfig('podman', settingsOf(...both))
    expect(files[0]?.content).toContain(
      '[[registry]]\nprefix = "registry.corp"\nlocation = "registry.corp"\n\n' +
        '[[registry.mirror]]\nlocation = "127.0.0.1:5000/registry.corp"\ninsecure = true\n',
    )
  })

  describe('of a node that speaks TLS', () => {
    const authority = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    const own = settingsOf('--tls', 'self', ...both)

    it.each([
      ['docker', '/etc/docker/certs.d'],
      ['podman', '/etc/containers/certs.d'],
    ] as const)('says where %s looks for the authority', (client, folder) => {
      const { files } = clientConfig(client, settingsOf('--tls', 'self'), { authority })
      expect(files).toEqual([
        { path: `${folder}/localhost:5000/ca.crt`, content: authority },
        { path: `${folder}/127.0.0.1:5000/ca.crt`, content: authority },
      ])
    })

    it('tells containerd of it for the mirrors, and for the node itself', () => {
      const { files } = clientConfig('containerd', own, { authority })
      const contentOf = (path: string) =>
        files.find((file) => file.path === `/etc/containerd/certs.d/${path}`)?.content
      expect(contentOf('docker.io/hosts.toml')).toContain(
        '[host."https://127.0.0.1:5000"]\n  capabilities = ["pull", "resolve"]\n  ca = "/etc/containerd/certs.d/127.0.0.1:5000/ca.crt"\n',
      )
      expect(contentOf('localhost:5000/hosts.toml')).toBe(
        'server = "https://localhost:5000"\n\n[host."https://localhost:5000"]\n  ca = "/etc/containerd/certs.d/localhost:5000/ca.crt"\n',
      )
      expect(contentOf('127.0.0.1:5000/ca.crt')).toBe(authority)
    })

    it('is a mirror over TLS', () => {
      const { files } = clientConfig('docker', own, { authority })
      for (const { path, content } of files.filter((file) => !file.path.endsWith('ca.crt')))
        expect([path, content]).toEqual([path, expect.stringContaining('https://127.0.0.1:5000')])
      expect(clientConfig('podman', own, { authority }).files[0]?.content).not.toContain('insecure')
    })

    it('is trusted under its host’s name, where other hosts reach it', () => {
      const { files } = clientConfig('docker', settingsOf('--tls', 'self', '--http', '0.0.0.0:443'), {
        authority,
      })
      expect(files.map(({ path }) => path)).toContain(`/etc/docker/certs.d/${hostname()}:443/ca.crt`)
    })

    it('leaves the authority of a given certificate to whoever has it', () => {
      const { files, notes } = clientConfig('docker', settingsOf('--tls-cert', 'c', '--tls-key', 'k'))
      expect(files).toEqual([])
      expect(notes.join()).toContain('/etc/docker/certs.d/localhost:5000/ca.crt')
    })
  })

  it('has nothing to say where no upstream is configured', () => {
    expect(clientConfig('docker', settingsOf())).toEqual({ files: [], notes: [] })
  })
})
