import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { readSettings } from '../../../node/settings/settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'shoal-upstream-setting-'))
afterAll(() => rmSync(folder, { recursive: true }))

function config(upstream: unknown): string {
  const file = join(folder, `${Math.random()}.json`)
  writeFileSync(file, JSON.stringify({ upstream }))
  return file
}

const read = (args: string[], environment: NodeJS.ProcessEnv = {}) =>
  readSettings(args, environment).settings.upstream

describe('upstreams in the settings', () => {
  it('need no URL where they are known, and bring their token server', () => {
    expect(read(['--upstream', 'docker.io', '--upstream', 'quay.io'])).toEqual([
      { name: 'docker.io', url: new URL('https://registry-1.docker.io'), authHosts: ['auth.docker.io'] },
      { name: 'quay.io', url: new URL('https://quay.io'), authHosts: [] },
    ])
  })

  it('have any name of a host with a URL', () => {
    const [upstream] = read([], { SHOAL_UPSTREAM: 'registry.corp=http://10.0.0.5:8080' })
    expect(upstream).toEqual({ name: 'registry.corp', url: new URL('http://10.0.0.5:8080'), authHosts: [] })
  })

  it('are objects in a config file where more is to be said', () => {
    const file = config([
      'docker.io',
      {
        name: 'registry.corp',
        url: 'https://registry.corp:8443',
        username: 'robot',
        passwordFile: '/run/secrets/robot',
        ca: '/etc/corp.pem',
        authHosts: ['sso.corp:8443'],
        maxDownload: '20MiB',
        concurrency: 4,
        share: true,
      },
    ])
    expect(read(['--config', file])[1]).toEqual({
      name: 'registry.corp',
      url: new URL('https://registry.corp:8443'),
      authHosts: ['sso.corp:8443'],
      username: 'robot',
      passwordFile: '/run/secrets/robot',
      ca: '/etc/corp.pem',
      maxDownload: 20 * 2 ** 20,
      concurrency: 4,
      share: true,
    })
  })

  it('never show a password or a token', () => {
    const file = config({ name: 'docker.io', username: 'robot', password: 'hunter2' })
    const [upstream] = read(['--config', file])
    expect(upstream?.password?.reveal()).toBe('hunter2')
    expect(upstream?.secretIn).toBe(file)
    expect(JSON.stringify(upstream) + inspect(upstream, { depth: 9, showHidden: true })).not.toContain(
      'hunter2',
    )
  })

  it.each([
    ['nowhere', 'expected NAME or NAME=URL'],
    ['registry.corp', 'expected NAME=URL, such as registry.corp=https://registry.corp'],
    ['Docker.io', 'expected NAME or NAME=URL'],
    ['registry.corp:5000', 'expected NAME or NAME=URL'],
    ['a.b=ftp://a.b', 'expected a URL of scheme, host and port alone'],
    ['a.b=https://a.b/v2/', 'expected a URL of scheme, host and port alone'],
    ['a.b=https://robot:hunter2@a.b', '"a.b=https://…@a.b" is not accepted'],
    [`${'x'.repeat(130)}.io=https://x.io`, 'expected NAME or NAME=URL'],
  ])('are refused: %s', (given, message) => {
    expect(() => read(['--upstream', given])).toThrow(message)
    expect(() => read(['--upstream', given])).not.toThrow('hunter2')
  })

  it.each([
    [{ url: 'https://a.b' }, 'expected NAME or NAME=URL'],
    [{ name: 'a.b', url: 5 }, 'expected url to be a text'],
    [{ name: 'docker.io', password: ['hunter2'] }, 'expected password to be a text'],
    [{ name: 'docker.io', pasword: 'hunter2' }, 'expected an upstream with the keys name, url, username'],
    [{ name: 'docker.io', authHosts: 'a.b' }, 'expected authHosts to be a list of hosts'],
    [{ name: 'docker.io', authHosts: ['https://a.b'] }, 'expected authHosts to be a list of hosts'],
    [{ name: 'docker.io', maxDownload: '1GB' }, 'expected maxDownload to be a size'],
    [{ name: 'docker.io', concurrency: 0 }, 'expected concurrency to be a number from 1 to 64'],
    [{ name: 'docker.io', share: 'yes' }, 'expected share to be true or false'],
    [['docker.io', 'docker.io'], 'docker.io is given twice'],
  ])('are refused in a config file: %j', (upstream, message) => {
    const args = ['--config', config(upstream)]
    expect(() => read(args)).toThrow(message)
    expect(() => read(args)).not.toThrow('hunter2')
  })

  it('are not quoted when the config file is no JSON', () => {
    const file = join(folder, 'broken.json')
    writeFileSync(file, '{"upstream":{"name":"docker.io","password":hunter2}}')
    expect(() => read(['--config', file])).toThrow('cannot be read as JSON')
    expect(() => read(['--config', file])).not.toThrow('hunter')
  })
})
