import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readSettings } from '../../../node/settings/settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'shoal-settings-'))
afterAll(() => rmSync(folder, { recursive: true }))

function config(content: string): string {
  const file = join(folder, `${Math.random()}.json`)
  writeFileSync(file, content)
  return file
}

const read = (args: string[], environment: NodeJS.ProcessEnv = {}) => readSettings(args, environment).settings

describe('settings', () => {
  it('have defaults', () => {
    expect(read([])).toMatchObject({
      data: resolve('shoal-data'),
      http: { host: '127.0.0.1', port: 5000 },
      p2p: { host: '0.0.0.0', port: 5001 },
      bootstrap: [],
      'no-mdns': false,
      'gc-grace': 24 * 3_600_000,
      'log-level': 'info',
    })
  })

  it('come from flags before the environment before the config file', () => {
    const file = config(
      JSON.stringify({ http: '127.0.0.1:1', p2p: '127.0.0.1:1', 'log-level': 'debug', 'no-mdns': true }),
    )
    const environment = { SHOAL_HTTP: '127.0.0.1:2', SHOAL_P2P: '127.0.0.1:2', SHOAL_CONFIG: file }
    expect(read(['--http', '[::1]:3'], environment)).toMatchObject({
      http: { host: '::1', port: 3 },
      p2p: { host: '127.0.0.1', port: 2 },
      'log-level': 'debug',
      'no-mdns': true,
    })
  })

  it('collect what may be given several times', () => {
    const addresses = ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/2']
    expect(read(['--bootstrap', addresses[0] ?? '', '--bootstrap', addresses[1] ?? '']).bootstrap).toEqual(
      addresses,
    )
    expect(read([], { SHOAL_BOOTSTRAP: addresses.join(',') }).bootstrap).toEqual(addresses)
    // As manifests have a variable that is there to be filled in.
    expect(read([], { SHOAL_BOOTSTRAP: '' }).bootstrap).toEqual([])
    expect(read(['--config', config(JSON.stringify({ bootstrap: addresses }))]).bootstrap).toEqual(addresses)
  })

  it.each([
    [['--http', '5000'], '--http: "5000" is not accepted; expected HOST:PORT'],
    ...['registry.example:5000', 'http://registry.example', '', '*x', 'a..b'].map(
      (host): [string[], string] => [['--allow-host', host], 'expected a host name without a port'],
    ),
    [['--tls-cert', 'c'], '--tls-cert is given without --tls-key'],
    [['--tls-key', 'k'], '--tls-key is given without --tls-cert'],
    [['--tls', 'self', '--tls-cert', 'c', '--tls-key', 'k'], '--tls self and --tls-cert are both given'],
    [['--tls', 'on'], '--tls: "on" is not accepted; expected self'],
    [['--plain-loopback'], '--plain-loopback is given without TLS'],
    [['--name', ' x'], '--name: " x" is not accepted; expected a name of up to 64 characters'],
    [['--name', 'a\nb'], '--name: '],
    [['--http', '127.0.0.1:70000'], '--http: "127.0.0.1:70000" is not accepted'],
    [['--log-level', 'loud'], '--log-level: "loud" is not accepted; expected one of trace, debug'],
    [['--gc-grace', '1 day'], '--gc-grace: "1 day" is not accepted; expected a duration such as 30s'],
    [['--min-free', '1GB'], '--min-free: "1GB" is not accepted; expected a size'],
    [['--data', ''], '--data: "" is not accepted'],
    [['--data', `/${'x'.repeat(100)}`], 'choose a shorter path'],
    [['--nonsense'], "Unknown option '--nonsense'"],
    [['--http'], '--http needs a value'],
    [['--config', '/nowhere/at/all.json'], '--config: /nowhere/at/all.json cannot be read'],
  ])('are refused: %j', (args, message) => {
    expect(() => read(args)).toThrow(message)
  })

  it.each([
    ['SHOAL_HTPP', 'SHOAL_HTPP is no setting; did you mean SHOAL_HTTP?'],
    ['SHOAL_LOG-LEVEL', 'did you mean SHOAL_LOG_LEVEL?'],
    ['SHOAL_FROBNICATE', 'SHOAL_FROBNICATE is no setting; shoal serve --help lists them'],
    ['SHOAL_UPSTREAM_DOCKER_IO_PASSWROD', 'did you mean SHOAL_UPSTREAM_DOCKER_IO_PASSWORD?'],
  ])('refuse the variable %s', (name, message) => {
    expect(() => read([], { [name]: 'x' })).toThrow(message)
  })

  it.each([
    'SHOAL_ADMIN_KEY',
    'SHOAL_UPSTREAM_DOCKER_IO_TOKEN',
    // What Kubernetes and docker give to pods beside a service of that name.
    'SHOAL_SERVICE_HOST',
    'SHOAL_SERVICE_PORT_REGISTRY',
    'SHOAL_PORT',
    'SHOAL_PORT_5000_TCP',
    'SHOAL_PORT_5000_TCP_ADDR',
    'SHOAL_PEERS_SERVICE_HOST',
    'SHOAL_PEERS_PORT_5001_TCP_PROTO',
    'SHOALS',
  ])('leave the variable %s alone', (name) => {
    expect(() => read([], { [name]: '1' })).not.toThrow()
  })

  it.each([
    ['{', 'cannot be read as JSON'],
    ['[]', 'does not hold a JSON object'],
    ['{"htttp":"x"}', 'sets "htttp"; known are data, http'],
    ['{"http":5}', '"http" in'],
    ['{"http":{"port":5}}', 'an object with port is not accepted'],
  ])('are refused in a config file of %s', (content, message) => {
    expect(() => read(['--config', config(content)])).toThrow(message)
  })

  it('name the variable that is wrong', () => {
    expect(() => read([], { SHOAL_LOG_LEVEL: 'x' })).toThrow('SHOAL_LOG_LEVEL: "x" is not accepted')
  })
})
