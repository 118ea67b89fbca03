/** The clients that people use sign in at another node than the one where their account was made, and are refused without. */
import { mkdir, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callRunningNode } from '../../node/admin/client.ts'
import { until } from '../swarm/fixture.ts'
import { openClient, pushItem } from './client.ts'
import { openContainerd } from './containerd.ts'
import { type DockerEngine, openDockerEngine } from './docker-engine.ts'
import { makeImage } from './image.ts'
import { run, showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

const password = 'a pass:word, "quoted"'
const access = [
  { repositories: 'team/**', who: ['user:ann', 'user:bob'], may: ['pull', 'push'] },
  { repositories: 'open/**', who: ['anonymous'], may: ['pull'] },
]

describe('an account that was made at another node', requires('shoal'), () => {
  const opened = new AsyncDisposableStack()
  let first: Registry
  let second: Registry
  let folder: ScratchFolder

  const operate = async (name: string, params: unknown, at = first): Promise<Record<string, unknown>> => {
    const answer = await callRunningNode(at.data, name as 'token', params as never, () => undefined)
    return answer?.result as Record<string, unknown>
  }
  const statusAtSecond = async (path: string, authorization?: string): Promise<number> => {
    using client = openClient(second.port)
    return (await client.ask('GET', path, { headers: authorization === undefined ? {} : { authorization } }))
      .status
  }
  const basic = (name: string, secret: string) =>
    `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`

  beforeAll(async () => {
    folder = opened.use(await openScratchFolder())
    first = opened.use(await openRegistry({ flags: ['--tls', 'self', '--plain-loopback'] }))
    const { token } = await operate('token', {})
    second = opened.use(await openRegistry({ flags: ['--join', String(token)] }))
    using client = openClient(first.port)
    for (const name of ['team/app', 'open/app'])
      await pushItem(client, name, '1', makeImage({ seed: name, layerBytes: [100_000] }))
    await operate('account-add', { name: 'ann', password, groups: [] })
    const { self } = await operate('members', {}, second)
    await operate('policy-set', { policy: { access, administrators: [self] } })
    await until(
      'the rules are known there',
      async () => (await statusAtSecond('/v2/team/app/manifests/1')) === 401,
    )
    // Made at the second node, and signed in with at the first, over TLS.
    await operate('account-add', { name: 'bob', password, groups: [] }, second)
    const { files } = (await operate('client-config', { client: 'podman' })) as {
      files: { path: string; content: string }[]
    }
    await mkdir(folder.at('certificates'))
    const authority = files.find((file) => file.path.endsWith('ca.crt'))?.content ?? ''
    await writeFile(folder.at('certificates/ca.crt'), authority)
  })
  afterAll(() => opened.disposeAsync())
  showOutputOnFailure(() => [first, second])

  const image = (name: string) => `${second.host}/${name}`

  test('signs in with skopeo', requires('skopeo'), async () => {
    const common = ['--authfile', folder.at('skopeo.json')]
    const plain = ['--src-tls-verify=false', '--dest-tls-verify=false']
    const copy = (from: string, to: string) =>
      run('skopeo', ['copy', '--quiet', ...common, ...plain, `docker://${image(from)}`, to])
    await expect(copy('team/app:1', `dir:${folder.at('refused')}`)).rejects.toThrow(
      /unauthorized|authentication/i,
    )
    await copy('open/app:1', `dir:${folder.at('open')}`)
    const login = ['login', '--tls-verify=false', ...common, '-u', 'ann', '--password-stdin', second.host]
    await expect(run('skopeo', login, { input: 'wrong' })).rejects.toThrow(/unauthorized|invalid/i)
    await run('skopeo', login, { input: password })
    await copy('team/app:1', `docker://${image('team/skopeo:1')}`)
    await expect(copy('team/app:1', `docker://${image('other/skopeo:1')}`)).rejects.toThrow(
      /denied|may not|forbidden|403/i,
    )
    await run('skopeo', ['logout', ...common, second.host])
    await expect(copy('team/skopeo:1', `dir:${folder.at('out')}`)).rejects.toThrow(
      /unauthorized|authentication/i,
    )
  })

  test('signs in with podman', requires('linux', 'root', 'podman'), async () => {
    const storage = ['--root', folder.at('storage'), '--runroot', folder.at('run'), '--storage-driver', 'vfs']
    const env = { HOME: folder.path, XDG_RUNTIME_DIR: folder.path, TMPDIR: folder.path }
    const podman = (args: string[], options = {}) => run('podman', [...storage, ...args], { env, ...options })
    const pull = (name: string) => podman(['pull', '--quiet', '--tls-verify=false', image(name)])
    await expect(pull('team/app:1')).rejects.toThrow(/unauthorized|authentication/i)
    await pull('open/app:1')
    await podman(['login', '--tls-verify=false', '-u', 'ann', '--password-stdin', second.host], {
      input: password,
    })
    await pull('team/app:1')
    await podman(['push', '--quiet', '--tls-verify=false', image('team/app:1'), image('team/podman:1')])
    await podman(['logout', second.host])
    await expect(pull('team/podman:1')).rejects.toThrow(/unauthorized|authentication/i)
  })

  test('signs in with oras', requires('oras'), async () => {
    const env = { DOCKER_CONFIG: folder.at('oras') }
    const oras = (args: string[], options = {}) => run('oras', args, { env, ...options })
    const copy = (from: string, to: string) =>
      oras(['copy', '--from-plain-http', '--to-plain-http', image(from), image(to)])
    await expect(copy('team/app:1', 'team/oras:1')).rejects.toThrow(/401|unauthorized|credential/i)
    await oras(['login', '--plain-http', '-u', 'ann', '--password-stdin', second.host], { input: password })
    await copy('team/app:1', 'team/oras:1')
    await copy('open/app:1', 'team/oras:2')
    await oras(['logout', second.host])
    await expect(copy('team/oras:1', 'team/oras:3')).rejects.toThrow(/401|unauthorized|credential/i)
  })

  test('signs in with containerd', requires('linux', 'root', 'containerd', 'ctr'), async () => {
    await using containerd = await openContainerd()
    const pull = (name: string, ...args: string[]) =>
      containerd.ctr(['images', 'pull', '--plain-http', ...args, `127.0.0.1:${second.port}/${name}`])
    await expect(pull('team/app:1')).rejects.toThrow(/401|unauthorized|authorization/i)
    await pull('open/app:1')
    await pull('team/app:1', '--user', `ann:${password}`)
    const overTls = (action: string, name: string, ...args: string[]) => {
      const authority = ['--tlscacert', folder.at('certificates/ca.crt')]
      return containerd.ctr(['images', action, ...authority, ...args, `${first.host}/${name}`])
    }
    await expect(overTls('pull', 'team/app:1')).rejects.toThrow(/401|unauthorized|authorization/i)
    await expect(overTls('pull', 'team/app:1', '--user', 'bob:wrong')).rejects.toThrow(/401|unauthorized/i)
    await overTls('pull', 'team/app:1', '--user', `bob:${password}`)
    await containerd.ctr(['images', 'tag', `${first.host}/team/app:1`, `${first.host}/team/ctr-tls:1`])
    await overTls('push', 'team/ctr-tls:1', '--user', `bob:${password}`)
  })

  describe('over TLS, at the node with the authority', () => {
    const secure = (name: string) => `${first.host}/${name}`
    const certificates = () => folder.at('certificates')

    test('signs in with skopeo', requires('skopeo'), async () => {
      const common = ['--authfile', folder.at('skopeo-tls.json')]
      const trusting = () => ['--src-cert-dir', certificates(), '--dest-cert-dir', certificates()]
      const copy = (from: string, to: string) =>
        run('skopeo', ['copy', '--quiet', ...common, ...trusting(), `docker://${secure(from)}`, to])
      await expect(copy('team/app:1', `dir:${folder.at('no')}`)).rejects.toThrow(
        /unauthorized|authentication/i,
      )
      const login = [
        'login',
        '--cert-dir',
        certificates(),
        ...common,
        '-u',
        'bob',
        '--password-stdin',
        first.host,
      ]
      await expect(run('skopeo', login, { input: 'wrong' })).rejects.toThrow(/unauthorized|invalid/i)
      await run('skopeo', login, { input: password })
      await copy('team/app:1', `docker://${secure('team/skopeo-tls:1')}`)
      await expect(copy('team/app:1', `docker://${secure('other/skopeo:1')}`)).rejects.toThrow(
        /denied|may not|forbidden|403/i,
      )
      await run('skopeo', ['logout', ...common, first.host])
      await expect(copy('team/app:1', `dir:${folder.at('no')}`)).rejects.toThrow(
        /unauthorized|authentication/i,
      )
    })

    test('signs in with podman', requires('linux', 'root', 'podman'), async () => {
      const storage = [
        '--root',
        folder.at('storage'),
        '--runroot',
        folder.at('run'),
        '--storage-driver',
        'vfs',
      ]
      const env = { HOME: folder.path, XDG_RUNTIME_DIR: folder.path, TMPDIR: folder.path }
      const podman = (args: string[], options = {}) =>
        run('podman', [...storage, ...args], { env, ...options })
      const pull = () => podman(['pull', '--quiet', '--cert-dir', certificates(), secure('team/app:1')])
      await expect(pull()).rejects.toThrow(/unauthorized|authentication/i)
      await podman(['login', '--cert-dir', certificates(), '-u', 'bob', '--password-stdin', first.host], {
        input: password,
      })
      await pull()
      const to = secure('team/podman-tls:1')
      await podman(['push', '--quiet', '--cert-dir', certificates(), secure('team/app:1'), to])
      await podman(['logout', first.host])
      await expect(pull()).rejects.toThrow(/unauthorized|authentication/i)
    })

    test('signs in with oras', requires('oras'), async () => {
      const env = { DOCKER_CONFIG: folder.at('oras-tls') }
      const ca = folder.at('certificates/ca.crt')
      const oras = (args: string[], options = {}) => run('oras', args, { env, ...options })
      const copy = () =>
        oras([
          'copy',
          '--from-ca-file',
          ca,
          '--to-ca-file',
          ca,
          secure('team/app:1'),
          secure('team/oras-tls:1'),
        ])
      await expect(copy()).rejects.toThrow(/401|unauthorized|credential/i)
      await oras(['login', '--ca-file', ca, '-u', 'bob', '--password-stdin', first.host], { input: password })
      await copy()
      await oras(['logout', first.host])
      await expect(copy()).rejects.toThrow(/401|unauthorized|credential/i)
    })
  })

  describe('with docker', requires('linux', 'root', 'dockerd', 'docker'), () => {
    let engine: DockerEngine
    beforeAll(async () => {
      engine = opened.use(await openDockerEngine('default'))
    })
    showOutputOnFailure(() => [engine])
    const docker = (args: string[], options = {}) => engine.docker(args, options)

    test('signs in, also where something is open to everybody', async () => {
      await expect(docker(['pull', image('team/app:1')])).rejects.toThrow(/unauthorized|denied/i)
      await docker(['pull', image('open/app:1')])
      const login = ['login', '-u', 'ann', '--password-stdin', second.host]
      await expect(docker(login, { input: 'wrong' })).rejects.toThrow(/unauthorized|wrong/i)
      await docker(login, { input: password })
      await docker(['pull', image('team/app:1')])
      await docker(['tag', image('team/app:1'), image('team/docker:1')])
      await docker(['push', image('team/docker:1')])
      await docker(['pull', image('open/app:1')])
      await docker(['tag', image('team/app:1'), image('open/docker:1')])
      await expect(docker(['push', image('open/docker:1')])).rejects.toThrow(/denied|unauthorized/i)
      await docker(['logout', second.host])
      await expect(docker(['pull', image('team/docker:1')])).rejects.toThrow(/unauthorized|denied/i)
    })

    test('signs in over TLS, at the node with the authority', async () => {
      const name = `${first.host}/team/app:1`
      await expect(docker(['pull', name])).rejects.toThrow(/unauthorized|denied/i)
      await docker(['login', '-u', 'bob', '--password-stdin', first.host], { input: password })
      await docker(['pull', name])
      await docker(['tag', name, `${first.host}/team/docker-tls:1`])
      await docker(['push', `${first.host}/team/docker-tls:1`])
      await docker(['logout', first.host])
      await expect(docker(['pull', name])).rejects.toThrow(/unauthorized|denied/i)
    })

    test('signs in where nothing is open to everybody', async () => {
      await operate('policy-set', { policy: { access: access.slice(0, 1) } })
      await until(
        'the rules are known there',
        async () => (await statusAtSecond('/v2/open/app/manifests/1')) === 401,
      )
      await expect(docker(['pull', image('open/app:1')])).rejects.toThrow(/no basic auth|unauthorized/i)
      await docker(['login', '-u', 'ann', '--password-stdin', second.host], { input: password })
      await docker(['pull', image('team/docker:1')])
    })
  })

  test('is out everywhere within seconds of being disabled', async () => {
    const pull = () => statusAtSecond('/v2/team/app/manifests/1', basic('ann', password))
    expect(await pull()).toBe(200)
    await operate('account-disable', { name: 'ann', disabled: true })
    await until('the account is out there', async () => (await pull()) === 401, 5_000)
  })
})
