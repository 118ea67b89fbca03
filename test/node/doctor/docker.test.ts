import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { type DockerFacts, judgeDocker } from '../../../node/doctor/docker.ts'
import { readDocker } from '../../../node/doctor/docker-engine.ts'
import { openScratchFolder } from '../../e2e/scratch-folder.ts'

const info = { version: '26.1.5', mirrors: [] as string[], httpProxy: '', noProxy: '' }
const answering = (changes: Partial<typeof info> = {}): DockerFacts['engine'] => ({
  state: 'answers',
  socket: '/run/docker.sock',
  info: { ...info, ...changes },
})
const facts: DockerFacts = {
  configFile: '/etc/docker/daemon.json',
  engine: answering(),
  registry: { host: '127.0.0.1', port: 5000 },
}

/** The faults and notes without the line that says that docker answers. */
function judge(changes: Partial<DockerFacts>): string[] {
  return judgeDocker({ ...facts, ...changes })
    .filter(({ level }) => level !== 'fine')
    .map(({ level, found, advice }) => `${level}: ${found} -> ${advice}`)
}

describe("docker's configuration", () => {
  it.each([
    ['', []],
    ['{}', []],
    ['{"registry-mirrors": ["http://localhost:5000"]}', []],
    ['{"registry-mirrors": ["https://mirror.example"]}', []],
    ['{', ['is not a JSON object']],
    ['[]', ['is not a JSON object']],
    ['{"registry-mirrors": ["localhost:5000"]}', ['is no URL.*write "http://localhost:5000"']],
    [
      '{"registry-mirrors": ["https://localhost:5000"]}',
      ['speaks plain HTTP.*write "http://localhost:5000"'],
    ],
    [
      '{"registry-mirrors": ["http://localhost:5000/v2/"]}',
      ['may have no path.*write "http://localhost:5000"'],
    ],
    ['{"registry-mirrors": ["http://127.0.0.1:5050"]}', ['the node serves port 5000']],
    ['{"registry-mirror": ["http://localhost:5000"]}', ['does not know.*write "registry-mirrors"']],
    ['{"insecure-registries": ["http://192.0.2.1:5000"]}', ['takes HOST:PORT.*write "192.0.2.1:5000"']],
    ['{"insecure-registries": ["192.0.2.1:5000/team"]}', ['takes HOST:PORT.*write "192.0.2.1:5000"']],
    ['{"insecure-registries": ["localhost:5000"]}', []],
    ['{"insecure-registries": "localhost:5000"}', []],
  ])('of %s', (config, expected) => {
    const mirrors = ['http://localhost:5000/', 'https://mirror.example/']
    const findings = judge({ config, engine: answering({ mirrors }) })
    expect(findings).toEqual(expected.map((pattern) => expect.stringMatching(pattern)))
  })

  describe('once insecure-registries is set', () => {
    const version = (engine: string) => answering({ version: engine })
    const silent = { state: 'absent', socket: '/run/docker.sock' } as const
    const lost = 'and dockerd 29.10 and later trust loopback by themselves only where the key is absent'

    it.each([
      ['{}', '29.10.0', []],
      ['{"insecure-registries": []}', '29.9.3', ['note']],
      ['{"insecure-registries": []}', '29.10.0', ['fault']],
      ['{"insecure-registries": ["10.0.0.0/8", "registry.example:5000"]}', '29.10.0-rc.1', ['fault']],
      ['{"insecure-registries": ["10.0.0.0/8", "registry.example:5000"]}', '26.1.5', ['note']],
      ['{"insecure-registries": ["localhost:5050"]}', '30.0.1', ['fault']],
      ['{"insecure-registries": ["localhost:5000"]}', '29.10.0', []],
      ['{"insecure-registries": ["10.0.0.0/8", "127.0.0.0/8"]}', '29.10.0', []],
      ['{"insecure-registries": ["127.0.0.1:5000"]}', '29.10.0', []],
    ])('%s leaves loopback trusted by docker %s, or is told of', (config, engine, levels) => {
      const findings = judge({ config, engine: version(engine) })
      expect(findings).toEqual(levels.map((level) => expect.stringMatching(`^${level}: .*${lost}`)))
      for (const finding of findings) expect(finding).toContain('or add "127.0.0.0/8" and "::1/128"')
    })

    it('tells of it where no engine says how old it is', () => {
      const findings = judge({
        config: '{"insecure-registries": []}',
        engine: { ...silent, state: 'silent' },
      })
      expect(findings[1]).toMatch(new RegExp(`^note: .*${lost}`))
    })

    it('does not matter to a node that speaks TLS, or listens elsewhere alone', () => {
      const config = '{"insecure-registries": []}'
      const engine = version('29.10.0')
      expect(judge({ config, engine, registry: { ...facts.registry, tls: true } })).toEqual([])
      expect(judge({ config, engine, registry: { host: '192.0.2.1', port: 5000 } })).toEqual([])
      expect(judge({ config, engine, registry: { host: '0.0.0.0', port: 5000 } })).toHaveLength(1)
    })
  })

  it('names the mirror as the node speaks', () => {
    const registry = { ...facts.registry, tls: true }
    expect(judge({ config: '{"registry-mirrors": ["http://localhost:5000"]}', registry })).toEqual([
      expect.stringMatching('speaks TLS.*write "https://localhost:5000"'),
    ])
    const mirrors = ['https://localhost:5000/']
    const config = '{"registry-mirrors": ["https://localhost:5000"]}'
    expect(judge({ config, registry, engine: answering({ mirrors }) })).toEqual([])
  })

  it('is read anew only when dockerd is told to', () => {
    const config = '{"registry-mirrors": ["http://localhost:5000"]}'
    expect(judge({ config })).toEqual([expect.stringContaining('systemctl reload docker')])
  })

  it.each([
    [
      answering({ httpProxy: 'http://u:secret@proxy:3128' }),
      '127.0.0.1',
      ['note: .*http://proxy:3128 with no'],
    ],
    [answering({ httpProxy: 'http://proxy:3128', noProxy: 'x, localhost' }), '127.0.0.1', []],
    [
      answering({ httpProxy: 'http://proxy:3128', noProxy: 'localhost' }),
      '192.0.2.1',
      ['fault: .*set NO_PROXY'],
    ],
    [answering({ httpProxy: 'http://proxy:3128', noProxy: '192.0.2.1' }), '192.0.2.1', []],
    [answering({ httpProxy: 'http://proxy:3128', noProxy: '.example' }), 'a.example', []],
  ])('sends nothing for the node to a proxy: %j', (engine, host, expected) => {
    const findings = judge({ engine, registry: { host, port: 5000 } })
    expect(findings).toEqual(expected.map((pattern) => expect.stringMatching(pattern)))
    expect(findings.join()).not.toContain('secret')
  })

  it('matters only where docker is', () => {
    const engine = { state: 'absent', socket: '/run/docker.sock' } as const
    expect(judge({ engine })).toEqual([expect.stringMatching(/^note: no dockerd is at /)])
    expect(judge({ engine, config: '{}' })).toEqual([
      expect.stringMatching(/^fault: dockerd does not answer/),
    ])
    expect(judge({ engine: { ...engine, state: 'silent' } })).toEqual([expect.stringMatching(/^fault/)])
    expect(judge({ engine: { ...engine, state: 'forbidden' } })).toEqual([
      expect.stringContaining('group docker'),
    ])
  })
})

describe('the engine', () => {
  let server: Server | undefined
  afterEach(() => server?.close())
  const { signal } = new AbortController()

  async function serve(path: string, body: string): Promise<void> {
    server = createServer((_request, response) => response.end(body))
    await new Promise<void>((resolve) => server?.listen(path, resolve))
  }

  it('says what it is configured to', async () => {
    await using folder = await openScratchFolder()
    const socket = folder.at('docker.sock')
    await serve(
      socket,
      JSON.stringify({
        ServerVersion: '26',
        HttpProxy: 'http://p',
        RegistryConfig: { Mirrors: ['http://m/'] },
      }),
    )
    expect(await readDocker(socket, signal)).toMatchObject({
      state: 'answers',
      info: { version: '26', mirrors: ['http://m/'], httpProxy: 'http://p', noProxy: '' },
    })
  })

  it('is not there, or is no engine', async () => {
    await using folder = await openScratchFolder()
    expect(await readDocker(folder.at('none'), signal)).toMatchObject({ state: 'absent' })
    await serve(folder.at('other'), 'hello')
    expect(await readDocker(folder.at('other'), signal)).toMatchObject({ state: 'silent' })
  })
})
