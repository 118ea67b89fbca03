/** A node with upstreams: what its commands say of them, and that no credential shows anywhere. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openClient } from './client.ts'
import { run, showOutputOnFailure } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
const secrets = ['hunter2', 'correct horse']

describe('a node with upstreams', requires('shoal', 'linux'), () => {
  let folder: ScratchFolder
  let registry: Registry
  let config: string

  beforeAll(async () => {
    folder = await openScratchFolder()
    config = folder.at('shoal.json')
    const upstream = [
      { name: 'docker.io', url: 'http://127.0.0.1:1', username: 'robot', password: secrets[0] },
      { name: 'registry.corp', url: 'http://127.0.0.1:1', share: true },
    ]
    await writeFile(config, JSON.stringify({ upstream }), { mode: 0o644 })
    registry = await openRegistry({
      flags: ['--config', config, '--log-level', 'trace'],
      env: {
        SHOAL_UPSTREAM_REGISTRY_CORP_USERNAME: 'robot',
        SHOAL_UPSTREAM_REGISTRY_CORP_PASSWORD: secrets[1] ?? '',
      },
    })
  })
  afterAll(async () => {
    await registry?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })
  showOutputOnFailure(() => [registry])

  const command = async (...args: string[]) => (await run(shoal, [...args, '--data', registry.data])).stdout

  test('lists them', async () => {
    expect(JSON.parse(await command('upstreams', '--json'))).toEqual(
      [
        { name: 'docker.io', isShared: false, credentials: { from: config, refused: false } },
        {
          name: 'registry.corp',
          isShared: true,
          credentials: { from: 'SHOAL_UPSTREAM_REGISTRY_CORP_PASSWORD', refused: false },
        },
      ].map((upstream) => ({
        url: 'http://127.0.0.1:1',
        manifestRequests: 0,
        blobRequests: 0,
        receivedBytes: 0,
        ...upstream,
      })),
    )
    expect(await command('upstreams')).toMatch(/^docker\.io +http:\/\/127\.0\.0\.1:1 +not asked yet /m)
  })

  test('says how clients pull through it, without being told of them again', async () => {
    const answer = JSON.parse(await command('client-config', 'podman', '--json'))
    expect(answer.client).toBe('podman')
    expect(answer.files[0].content).toContain(`location = "127.0.0.1:${registry.port}/registry.corp"`)
    expect(await command('client-config', 'containerd')).toContain(
      '# /etc/containerd/certs.d/docker.io/hosts.toml\n',
    )
  })

  test('warns of a config file that others can read', () => {
    const warning = registry
      .output()
      .split('\n')
      .find((line) => line.includes('can be read by other users'))
    expect(warning).toContain(config)
  })

  test('shows its credentials to nobody', async () => {
    using client = openClient(registry.port)
    await client.ask('GET', '/v2/docker.io/library/alpine/manifests/3.20')
    const lines = await commandLines()
    const stored = await filesBelow(registry.data)
    // What is looked through is there.
    expect(lines).toContain(config)
    expect(stored).toContain('MANIFEST-')
    const shown = [registry.output(), await command('upstreams', '--json'), lines, stored].join('\n')
    for (const secret of secrets) expect(shown).not.toContain(secret)
  })
})

/** Of all processes, as every user sees them. */
async function commandLines(): Promise<string> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  return await readThoseLeft(processes.map((id) => `/proc/${id}/cmdline`))
}

/** All bytes of them, as text. */
async function filesBelow(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return await readThoseLeft(files.map(({ parentPath, name }) => path.join(parentPath, name)))
}

/** Processes end and the database drops files while they are listed. */
async function readThoseLeft(files: string[]): Promise<string> {
  const texts = await Promise.allSettled(files.map((file) => readFile(file, 'latin1')))
  return texts.map((text) => (text.status === 'fulfilled' ? text.value : '')).join('\n')
}
