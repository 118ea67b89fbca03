import { X509Certificate } from 'node:crypto'
import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMetrics } from '../../../node/metrics/metrics.ts'
import { readSettings } from '../../../node/settings/settings.ts'
import { type KeyPair, ownPair, pairFromFiles } from '../../../node/tls/key-pair.ts'
import { type Authority, findOwnAuthority, issue, openOwnAuthority } from '../../../node/tls/own-authority.ts'
import { openNodeTls, tlsHosts } from '../../../node/tls/tls.ts'
import { silentLogger } from '../../../src/base/base.ts'
import { openScratchFolder, type ScratchFolder } from '../../e2e/scratch-folder.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

let folder: ScratchFolder
let authority: Authority
beforeAll(async () => {
  folder = await openScratchFolder()
  authority = await openOwnAuthority(folder.path)
})
afterAll(() => folder[Symbol.asyncDispose]())

const dayMs = 24 * 3600_000
const make = (host: string): KeyPair =>
  issue(authority, [host], { fromMs: Date.now() - dayMs, untilMs: Date.now() + dayMs })
/** In one step each, as careful programs do it. */
async function replace(name: string, text: string): Promise<string> {
  await writeFile(folder.at('new'), text)
  await rename(folder.at('new'), folder.at(name))
  return folder.at(name)
}
const write = async (pair: KeyPair): Promise<[string, string]> => [
  await replace('cert.pem', pair.certificate),
  await replace('key.pem', pair.key),
]

describe('a key and a certificate in files', () => {
  it('are given once, and again when they changed', async () => {
    const [first, second] = [make('a'), make('b')]
    const source = pairFromFiles(...(await write(first)))
    expect(await source.look()).toEqual(first)
    expect(await source.look()).toBeUndefined()
    await write(second)
    expect(await source.look()).toEqual(second)
  })

  it.each([
    [
      'a key of another',
      (pair: KeyPair) => ({ ...pair, key: make('b').key }),
      'is not that of the first certificate',
    ],
    [
      'a torn certificate',
      (pair: KeyPair) => ({ ...pair, certificate: pair.certificate.slice(0, 200) }),
      'does not begin with a certificate',
    ],
    [
      'a torn key',
      (pair: KeyPair) => ({ ...pair, key: pair.key.slice(0, 100) }),
      'does not hold a private key',
    ],
    [
      'the authority first',
      (pair: KeyPair) => ({ ...pair, certificate: authority.certificate + pair.certificate }),
      'is not that of the first certificate',
    ],
  ])('are refused as a whole where there is %s, without a word of the key', async (_name, spoil, message) => {
    const pair = spoil(make('a'))
    const source = pairFromFiles(...(await write(pair)))
    const failure = await source.look().catch((error: Error) => error)
    expect(failure).toMatchObject({ code: 'KEY_PAIR', message: expect.stringContaining(message) })
    expect(JSON.stringify([failure, (failure as Error).cause])).not.toContain(pair.key.slice(40, 60))
    await write(make('a'))
    expect(await source.look()).toBeDefined()
  })

  it('have to be there', async () => {
    await expect(pairFromFiles(folder.at('none'), folder.at('none')).look()).rejects.toThrow('--tls-cert: ')
  })
})

describe('what a running node serves', () => {
  const settingsOf = (...flags: string[]) => readSettings(['--data', folder.path, ...flags], {}).settings

  it('is replaced when the files are, and stays when what replaces it is broken, which is told of once', async () => {
    const [first, second] = [make('a'), make('b')]
    const [certificate, key] = await write(first)
    const [clock, used, told] = [new SteppedClock(), [] as KeyPair[], [] as object[]]
    const logger = { ...silentLogger, error: (fields: object) => void told.push(fields) }
    const port = { secure: (pair: KeyPair) => void used.push(pair) }
    const settings = settingsOf('--tls-cert', certificate, '--tls-key', key)
    await using _tls = await openNodeTls(settings, { port, logger, clock, random: () => 0.5 })
    expect(used).toEqual([first])
    const look = async () => {
      await clock.untilAsleep(10_000)
      clock.advance(10_000)
      await clock.untilAsleep(10_000)
    }
    // The first of the two files is renamed; then both belong together again.
    await replace('cert.pem', second.certificate)
    await look()
    await look()
    expect(used).toEqual([first])
    expect(told).toEqual([{ reason: expect.stringContaining('is not that of the first certificate') }])
    await replace('key.pem', second.key)
    await look()
    expect(used).toEqual([first, second])
  })

  it('is reminded of each day from two weeks before its end on, until it is replaced', async () => {
    const [clock, wall, told] = [new SteppedClock(), new SteppedClock(), [] as object[]]
    const lasting = (days: number): KeyPair =>
      issue(authority, ['a'], { fromMs: wall.now(), untilMs: wall.now() + days * dayMs })
    const [certificate, key] = await write(lasting(15))
    const logger = { ...silentLogger, warn: (fields: object) => void told.push(fields) }
    const settings = settingsOf('--tls-cert', certificate, '--tls-key', key)
    const port = { secure: () => undefined }
    const metrics = createMetrics()
    const options = { port, logger, metrics, clock, wall, random: () => 0.5 }
    await using tls = await openNodeTls(settings, options)
    const shownEnd = async () =>
      Number(/^shoal_tls_certificate_end_timestamp_seconds (.*)$/m.exec((await metrics.expose()).text)?.[1])
    const firstEndMs = Math.floor((wall.now() + 15 * dayMs) / 1000) * 1000
    expect([await shownEnd(), tls.endMs()]).toEqual([firstEndMs / 1000, firstEndMs])
    const toldAfter = async (days: number): Promise<number> => {
      wall.advance(days * dayMs)
      await clock.untilAsleep(10_000)
      clock.advance(10_000)
      await clock.untilAsleep(10_000)
      return told.length
    }
    expect([await toldAfter(0), await toldAfter(2), await toldAfter(0.5), await toldAfter(0.5)]).toEqual([
      0, 1, 1, 2,
    ])
    expect(await toldAfter(20)).toBe(3)
    await write(lasting(90))
    expect([await toldAfter(0), await toldAfter(5)]).toEqual([3, 3])
    expect(tls.endMs()).toBeGreaterThan(firstEndMs)
    expect(await shownEnd()).toBe((tls.endMs() ?? 0) / 1000)
  })

  it('has to be there when it starts', async () => {
    const settings = settingsOf('--tls-cert', folder.at('no'), '--tls-key', folder.at('no'))
    const port = { secure: () => undefined }
    await expect(openNodeTls(settings, { port, logger: silentLogger })).rejects.toThrow('cannot be read')
  })
})

describe('the authority of a node', () => {
  it('stays the same, in a file that only its user reads', async () => {
    const again = await openOwnAuthority(folder.path)
    expect(again.certificate).toBe(authority.certificate)
    await chmod(folder.at('tls-authority'), 0o640)
    await expect(findOwnAuthority(folder.path)).rejects.toThrow('chmod 600')
    await chmod(folder.at('tls-authority'), 0o600)
  })

  it('is not made anew over one that is damaged, and tells nothing of the key', async () => {
    await using other = await openScratchFolder()
    await openOwnAuthority(other.path)
    const whole = await readFile(other.at('tls-authority'), 'utf8')
    for (const text of ['', whole.slice(0, 150), whole.slice(0, -80), whole.replaceAll('E', 'F')]) {
      await writeFile(other.at('tls-authority'), text)
      const failure = await openOwnAuthority(other.path).catch((error: Error) => error)
      expect(failure).toMatchObject({
        message: expect.stringContaining('does not hold a key and its certificate'),
      })
      expect((failure as Error).cause).toBeUndefined()
    }
  })

  it('vouches for a server under each of its names, until long after it makes the next one', async () => {
    const clock = new SteppedClock()
    const hosts = ['localhost', '192.0.2.1']
    const source = ownPair({ authority, hosts: async () => hosts, clock })
    const leafOf = async () => new X509Certificate((await source.look())?.certificate ?? '')
    const first = await leafOf()
    const root = new X509Certificate(authority.certificate)
    expect(first.verify(root.publicKey) && first.checkIssued(root)).toBe(true)
    expect([first.checkHost('localhost'), first.checkIP('192.0.2.1')]).toEqual(hosts)
    clock.advance(59 * dayMs)
    expect(await source.look()).toBeUndefined()
    clock.advance(2 * dayMs)
    const second = await leafOf()
    expect(first.validToDate.getTime() - clock.now()).toBeGreaterThan(28 * dayMs)
    expect(second.validToDate.getTime() - first.validToDate.getTime()).toBe(61 * dayMs)
  })

  it('makes a new one for a new name, or a clock that was wrong, and none for a name that went', async () => {
    const clock = new SteppedClock()
    let hosts = ['localhost', 'old']
    const source = ownPair({ authority, hosts: async () => hosts, clock })
    await source.look()
    hosts = ['localhost']
    expect(await source.look()).toBeUndefined()
    hosts = ['localhost', 'new']
    expect(new X509Certificate((await source.look())?.certificate ?? '').checkHost('new')).toBe('new')
    clock.advance(-2 * dayMs)
    const back = new X509Certificate((await source.look())?.certificate ?? '')
    expect(back.validFromDate.getTime()).toBeLessThan(clock.now())
  })
})

it('is a server for what clients on the host, in containers and elsewhere call it, and no more than fits', () => {
  const hostsOf = (http: string, ...allowed: string[]) => {
    const { settings } = readSettings(
      ['--http', http, ...allowed.flatMap((name) => ['--allow-host', name])],
      {},
    )
    return tlsHosts(settings, ['Host-A.example', 'two words', 'a_b'], ['192.0.2.1', '2001:db8::1'])
  }
  const everywhere = ['localhost', '127.0.0.1', '::1', 'host.docker.internal', 'host.containers.internal']
  const host = ['192.0.2.1', '2001:db8::1', 'host-a.example', 'a_b']
  expect(hostsOf('0.0.0.0:5000')).toEqual([...everywhere, ...host])
  expect(hostsOf('127.0.0.1:5000', '*', '*.apps.example')).toEqual([...everywhere, '*.apps.example', ...host])
  expect(hostsOf('10.0.0.1:5000')).toContain('10.0.0.1')
  const many = Array.from({ length: 500 }, (_, index) => `n${index}`)
  expect(tlsHosts(readSettings([], {}).settings, many, [])).toHaveLength(100)
})
