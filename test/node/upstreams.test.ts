import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readSettings } from '../../node/settings/settings.ts'
import { readUpstreams } from '../../node/upstreams.ts'
import { silentLogger } from '../../src/base/base.ts'

const folder = mkdtempSync(join(tmpdir(), 'shoal-upstreams-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(content: string, mode = 0o600): string {
  const path = join(folder, String(Math.random()))
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

type Warning = { file: string } | { upstream: string }

async function open(upstream: unknown, environment: NodeJS.ProcessEnv = {}, mode = 0o600) {
  const warnings: Warning[] = []
  const config = file(JSON.stringify({ upstream }), mode)
  const { settings } = readSettings(['--config', config], {})
  const logger = { ...silentLogger, warn: (fields: object) => void warnings.push(fields as Warning) }
  const upstreams = await readUpstreams(settings.upstream, environment, logger)
  return { config, warnings, credentials: upstreams[0]?.credentials, from: upstreams[0]?.credentialsFrom }
}

describe("upstreams' credentials", () => {
  it('come from the config file, from files that it names, or from the environment, which wins', async () => {
    const passwordFile = file('from a file\n')
    const robot = { name: 'docker.io', username: 'robot' }
    const fromFile = await open({ ...robot, passwordFile })
    expect(fromFile.credentials).toEqual({ username: 'robot', password: 'from a file' })
    const variables = { SHOAL_UPSTREAM_DOCKER_IO_PASSWORD: 'from the environment' }
    const fromEnvironment = await open({ ...robot, password: 'from the config' }, variables)
    expect(fromEnvironment.credentials).toEqual({ username: 'robot', password: 'from the environment' })
    expect((await open({ name: 'quay.io', tokenFile: file('t') })).credentials).toEqual({ token: 't' })
    expect((await open('quay.io')).credentials).toBeUndefined()
  })

  it.each([
    [{ name: 'docker.io', username: 'robot' }, {}, 'set SHOAL_UPSTREAM_DOCKER_IO_PASSWORD or "password"'],
    [{ name: 'docker.io', password: 'p' }, {}, 'set SHOAL_UPSTREAM_DOCKER_IO_USERNAME or "username"'],
    [{ name: 'docker.io', username: 'a:b', password: 'p' }, {}, 'a user name cannot hold a colon'],
    [{ name: 'docker.io', username: 'r', token: 't' }, {}, 'has both a token and a user name or password'],
    [
      { name: 'docker.io', username: 'r', passwordFile: '/nowhere' },
      {},
      'passwordFile of docker.io cannot be read',
    ],
    [{ name: 'docker.io', ca: '/nowhere' }, {}, 'the ca of docker.io cannot be read'],
    [{ name: 'docker.io', ca: '/dev/null' }, {}, 'is no certificate in PEM'],
    [
      'docker.io',
      { SHOAL_UPSTREAM_DOCKER_PASSWORD: 'p' },
      'SHOAL_UPSTREAM_DOCKER_PASSWORD is for no upstream that is configured (docker.io)',
    ],
    [
      ['a-b.io=https://a-b.io', 'a.b.io=https://a.b.io'],
      { SHOAL_UPSTREAM_A_B_IO_TOKEN: 't' },
      'both a-b.io and a.b.io are written like that',
    ],
  ])('are refused: %j', async (upstream, environment, message) => {
    await expect(open(upstream, environment)).rejects.toThrow(message)
  })

  it('are known by where they are set', async () => {
    const robot = { name: 'docker.io', username: 'robot' }
    const passwordFile = file('p')
    const inFile = await open({ ...robot, password: 'p' })
    expect(inFile.from).toBe(inFile.config)
    expect((await open({ ...robot, passwordFile })).from).toBe(passwordFile)
    const variables = { SHOAL_UPSTREAM_DOCKER_IO_PASSWORD: 'p' }
    expect((await open({ ...robot, password: 'p' }, variables)).from).toBe(
      'SHOAL_UPSTREAM_DOCKER_IO_PASSWORD',
    )
    const token = { SHOAL_UPSTREAM_DOCKER_IO_TOKEN: 't' }
    expect((await open('docker.io', token)).from).toBe('SHOAL_UPSTREAM_DOCKER_IO_TOKEN')
    expect((await open('docker.io')).from).toBeUndefined()
  })

  it('bring a warning when others can read the file that holds them', async () => {
    const secret = { name: 'docker.io', username: 'robot', password: 'hunter2' }
    const readable = await open(secret, {}, 0o644)
    expect(readable.warnings).toEqual([{ file: readable.config }])
    expect((await open(secret)).warnings).toEqual([])
    expect((await open('docker.io', {}, 0o644)).warnings).toEqual([])
  })

  it('bring a warning when they go over the network in the clear', async () => {
    const plain = { name: 'a.b', url: 'http://a.b', username: 'robot', password: 'hunter2' }
    expect((await open(plain)).warnings).toEqual([{ upstream: 'a.b' }])
    for (const url of ['https://a.b', 'http://127.0.0.1:8080']) {
      expect((await open({ ...plain, url })).warnings).toEqual([])
    }
    expect((await open('a.b=http://a.b')).warnings).toEqual([])
  })
})
