import { describe, expect, it } from 'vitest'
import { clientConfig } from '../../node/client-config.ts'
import { readSettings } from '../../node/settings/settings.ts'

const settingsOf = (...args: string[]) => readSettings(args, {}).settings
const both = ['--upstream', 'docker.io', '--upstream', 'registry.corp=https://registry.corp:8443']

describe('the configuration of clients', () => {
  it('names the node as a mirror to dockerd', () => {
    const { files, notes } = clientConfig('docker', settingsOf(...both))
    expect(files.map(({ path }) => path)).toEqual(['/etc/docker/daemon.json'])
    expect(JSON.parse(files[0]?.content ?? '')).toEqual({ 'registry-mirrors': ['http://127.0.0.1:5000'] })
    expect(notes.join()).toContain('docker pull 127.0.0.1:5000/registry.corp/NAME:TAG')
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

  it('has nothing to say where no upstream is configured', () => {
    expect(clientConfig('docker', settingsOf())).toEqual({ files: [], notes: [] })
  })
})
