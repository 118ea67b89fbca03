import { describe, expect, it } from 'vitest'
import { judgeAuthority } from '../../../node/doctor/authority.ts'
import type { Finding } from '../../../node/doctor/check.ts'
import { judgeClients } from '../../../node/doctor/clients.ts'
import { judgeClock } from '../../../node/doctor/clock.ts'
import { judgeCopies } from '../../../node/doctor/copies.ts'
import { judgeDiscovery, parseMulticastRoute } from '../../../node/doctor/discovery.ts'
import { judgeFileSystem, judgeInodes, judgeLimit, judgeSpace } from '../../../node/doctor/disk.ts'
import { type FolderFacts, judgeFolder } from '../../../node/doctor/folder.ts'
import { parseListeners } from '../../../node/doctor/listeners.ts'
import { type Dialled, judgeMembers } from '../../../node/doctor/members.ts'
import { judgePort, type PortFacts } from '../../../node/doctor/ports.ts'
import { judgeProcess, type ProcessFacts } from '../../../node/doctor/process.ts'
import { judgeQuarantine } from '../../../node/doctor/quarantine.ts'
import { judgeRuntime } from '../../../node/doctor/runtime.ts'
import { judgeSecrets, type SecretFacts } from '../../../node/doctor/secrets.ts'
import { judgeUpstream } from '../../../node/doctor/upstreams.ts'
import { isReplaced } from '../../../node/operations/reach.ts'

const GiB = 2 ** 30
const levels = (findings: Finding[]) => findings.map(({ level }) => level)
const words = (findings: Finding[]) =>
  findings.map(({ found, advice = '' }) => `${found} ${advice}`).join('\n')

describe('the runtime', () => {
  it.each([
    ['24.0.0', '>=24', 'fine'],
    ['26.1.0', '>=24', 'fine'],
    ['22.18.0', '>=22.18', 'fine'],
    ['22.17.9', '>=22.18', 'fault'],
    ['18.20.0', '>=24', 'fault'],
  ])('%s, where %s is wanted, is %s', (version, required, level) => {
    expect(levels(judgeRuntime(version, required))).toEqual([level])
  })
})

describe('clients', () => {
  const nowMs = Date.UTC(2026, 0, 1)
  const dayMs = 86_400_000

  it.each([
    [90 * dayMs, 'fine', 'is good until 2026-04-01'],
    [13 * dayMs, 'note', 'ends on 2026-01-14 replace the files of --tls-cert'],
    [-1, 'fault', 'ended on 2025-12-31, and clients refuse it'],
  ])('are shown a certificate that ends in %i ms: %s', (inMs, level, text) => {
    const findings = judgeClients({ nowMs, tlsEndMs: nowMs + inMs })
    expect(levels(findings)).toEqual([level])
    expect(words(findings)).toContain(text)
  })

  it('are let in or not', () => {
    expect(judgeClients({ nowMs })).toEqual([])
    const findings = judgeClients({ nowMs, closed: 'the policy has no access rules any more' })
    expect(levels(findings)).toEqual(['fault'])
    expect(words(findings)).toContain('any more set rules')
    const [openly] = judgeClients({ nowMs, open: 'whoever reaches 0.0.0.0:5000 may everything' })
    expect(openly).toMatchObject({ level: 'note', advice: expect.stringContaining('--tls self') })
    const [unruled] = judgeClients({ nowMs, unruled: 'the policy has no access rules' })
    expect(unruled).toMatchObject({ level: 'note', advice: expect.stringContaining('shoal policy set') })
  })
})

describe('copies', () => {
  const hourMs = 3_600_000
  const debt = { repository: 'team/app', digest: 'sha256:0a', held: 1, wanted: 2 }

  it.each([
    [0, [], 'fine', 'every image'],
    [
      1,
      [{ ...debt, sinceMs: 10 * hourMs - 60_000 }],
      'note',
      '1 image is at fewer members than it is to be: team/app',
    ],
    [3, [{ ...debt, sinceMs: 2 * hourMs }], 'fault', 'team/app@sha256:0a at 1 of 2, for 8 h'],
  ])('that are short %i times are told', (images, list, level, text) => {
    const findings = judgeCopies({ images, list }, 10 * hourMs, 1)
    expect(levels(findings)).toEqual([level])
    expect(words(findings)).toContain(text)
  })

  it('are not asked of a node that is alone', () => {
    expect(judgeCopies({ images: 0, list: [] }, 0, 0)).toEqual([])
  })
})

describe('what an ordinary user cannot see', () => {
  it('is said in notes, and is no fault', () => {
    const root = { isFolder: true, owner: 'root', mode: 0o700, isWritable: false, foreign: [] }
    const above = { path: '/', isWritable: false }
    const findings = [
      ...judgeFolder({ path: '/data', folder: root, above, user: 'ann', isAnothersNode: true }),
      ...judgeSecrets(
        (['identity', 'cluster', 'authority'] as const).map((name) => ({
          name,
          path: `/data/${name}`,
          state: 'unreadable',
          mode: 0,
        })),
        true,
      ),
      ...judgePort({
        flag: '--http',
        address: { host: '127.0.0.1', port: 5000 },
        state: 'taken',
        isAnothersNode: true,
      }),
    ]
    expect(levels(findings)).toEqual(['note', 'note', 'note'])
    expect(words(findings)).toContain('/data belongs to root, and ann cannot look into it')
    expect(words(findings)).toContain('identity, cluster and authority cannot be read by this user')
    expect(words(findings)).toContain('127.0.0.1:5000 (--http) is taken, by whom this user cannot see')
  })
})

describe('the process', () => {
  const facts: ProcessFacts = { data: '/data', socket: 'absent', version: '1.0.0' }
  const running = { pid: 7, upMs: 61_000, version: '1.0.0' }

  it.each<[Partial<ProcessFacts>, string[], string]>([
    [{}, ['note'], 'start it with shoal serve --data /data'],
    [{ socket: 'answers', running }, ['fine'], 'process 7, up 1 min 1 s'],
    [{ socket: 'answers', running: { ...running, version: '0.9.0' } }, ['fine', 'fault'], 'of version 0.9.0'],
    [{ socket: 'stale' }, ['fault'], '/data/admin.sock behind: it was killed or crashed'],
    [{ socket: 'stale', lockedBy: 8 }, ['fault'], 'process 8 has the data directory open'],
    [{ lockedBy: 8 }, ['fault'], 'has no admin socket'],
    [{ socket: 'forbidden' }, ['note'], 'as the user of the node'],
  ])('with %j', (changes, expected, text) => {
    const findings = judgeProcess({ ...facts, ...changes })
    expect(levels(findings)).toEqual(expected)
    expect(words(findings)).toContain(text)
  })
})

describe('the data directory', () => {
  const folder = { isFolder: true, owner: 'shoal', mode: 0o700, isWritable: true, foreign: [] }
  const facts: FolderFacts = { path: '/data', folder, above: { path: '/', isWritable: true }, user: 'shoal' }
  const { folder: _, ...absent } = facts

  it.each<[FolderFacts, string[], string]>([
    [facts, ['fine'], 'belongs to shoal'],
    [absent, ['note'], 'shoal serve --data /data makes it'],
    [{ ...absent, above: { path: '/', isWritable: false } }, ['fault'], 'shoal may not make it in /'],
    [{ ...facts, folder: { ...folder, isFolder: false } }, ['fault'], 'is a file'],
    [
      { ...facts, folder: { ...folder, owner: 'root', isWritable: false } },
      ['fault'],
      'belongs to root, and shoal may not write it',
    ],
    [{ ...facts, folder: { ...folder, mode: 0o777 } }, ['fault'], 'mode 777'],
    [{ ...facts, folder: { ...folder, refusal: 'of a later version; run that' } }, ['fault'], 'run that'],
    [
      {
        ...facts,
        folder: {
          ...folder,
          foreign: [
            { path: 'db/LOCK', owner: 'root' },
            { path: 'cluster', owner: 'root' },
          ],
        },
      },
      ['fault'],
      'db/LOCK and 1 more in it belongs to root, not to shoal',
    ],
  ])('with %j', (given, expected, text) => {
    const findings = judgeFolder(given)
    expect(levels(findings)).toEqual(expected)
    expect(words(findings)).toContain(text)
  })
})

describe('the secrets', () => {
  const secret = (name: SecretFacts['name'], changes: Partial<SecretFacts> = {}): SecretFacts => ({
    name,
    path: `/data/${name}`,
    state: 'whole',
    mode: 0o600,
    ...changes,
  })

  it.each<[SecretFacts[], boolean, string[], string]>([
    [[secret('identity'), secret('cluster')], true, ['fine'], 'identity, cluster are whole'],
    [[secret('identity', { mode: 0o644 })], true, ['fault'], 'mode 644'],
    [[secret('identity', { state: 'absent' })], true, ['fault'], 'would come back as another one'],
    [[secret('identity', { state: 'absent' })], false, [], ''],
    [[secret('authority', { state: 'absent' }), secret('cluster')], true, ['fine'], ''],
    [[secret('cluster', { state: 'broken', reason: 'it is cut off' })], true, ['fault'], 'it is cut off'],
    [[secret('cluster', { state: 'broken', mode: 0o666 })], true, ['fault', 'fault'], 'join again'],
    [[secret('identity', { state: 'unreadable' })], true, ['note'], ''],
  ])('with %j', (secrets, hasData, expected, text) => {
    const findings = judgeSecrets(secrets, hasData)
    expect(levels(findings)).toEqual(expected)
    expect(words(findings)).toContain(text)
  })
})

describe('the disk', () => {
  it.each([
    [100 * GiB, 200 * GiB, GiB, 'fine'],
    [GiB - 1, 200 * GiB, GiB, 'fault'],
    [1.5 * GiB, 200 * GiB, GiB, 'fault'],
    [5 * GiB, 200 * GiB, 0, 'fault'],
    [0, 200 * GiB, 0, 'fault'],
  ])('with %d of %d free, %d in reserve, is %s', (freeBytes, totalBytes, minFreeBytes, level) => {
    expect(levels(judgeSpace({ freeBytes, totalBytes, minFreeBytes }))).toEqual([level])
  })

  it.each([
    [95 * GiB, true, 'fine'],
    [95 * GiB + 1, true, 'fault'],
    [95 * GiB + 1, false, 'note'],
  ])('with %d of 100 GiB filled, and nothing that may go %s, is %s', (filledBytes, isStuck, level) => {
    const facts = { filledBytes, maxBytes: 100 * GiB, highBytes: 95 * GiB, isStuck }
    expect(levels(judgeLimit(facts))).toEqual([level])
  })

  it('lies on no file system that forgets or damages what is on it', () => {
    expect(words(judgeFileSystem(0x01021994))).toContain('tmpfs, which is memory')
    expect(words(judgeFileSystem(0x6969))).toContain('NFS, a network file system')
    expect(judgeFileSystem(0xef53)).toEqual([])
  })

  it('has inodes left, or none to count', () => {
    expect(levels(judgeInodes({ files: 1000, freeFiles: 10 }))).toEqual(['fault'])
    expect(judgeInodes({ files: 1000, freeFiles: 11 })).toEqual([])
    expect(judgeInodes({ files: 0, freeFiles: 0 })).toEqual([])
  })

  it('holds no rotten content', () => {
    expect(levels(judgeQuarantine('/data/quarantine', []))).toEqual(['fine'])
    expect(words(judgeQuarantine('/data/quarantine', ['sha256-x.1']))).toContain('1 file in quarantine')
  })
})

describe('a port', () => {
  const facts: PortFacts = { flag: '--http', address: { host: '127.0.0.1', port: 5000 }, state: 'free' }

  it.each<[Partial<PortFacts>, string[], string]>([
    [{}, ['fine'], '127.0.0.1:5000 (--http) is free'],
    [{ state: 'ours' }, ['fine'], 'answers'],
    [{ state: 'silent' }, ['fault'], 'does not answer though the node runs'],
    [{ state: 'taken', holder: 'nginx (process 7)' }, ['fault'], 'is taken by nginx (process 7)'],
    [{ state: 'taken' }, ['fault'], 'is taken by another process'],
    [{ state: 'forbidden' }, ['fault'], 'above 1023'],
    [{ state: 'not-here' }, ['fault'], '127.0.0.1 (--http) is no address of this machine'],
    [
      { state: 'ours', twin: { host: '::1', holder: 'x (process 8)' } },
      ['fine', 'fault'],
      '[::1]:5000 belongs to x',
    ],
  ])('with %j', (changes, expected, text) => {
    const findings = judgePort({ ...facts, ...changes })
    expect(levels(findings)).toEqual(expected)
    expect(words(findings)).toContain(text)
  })

  it('is found among the listeners that the system lists', () => {
    const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:1389 0100007F:1388 01 00000000:00000000 00:00000000 00000000     0        0 112 1
   2: 00000000000000000000000001000000:1388 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 113 1
   3: B80D01200000000000000000010000FF:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 114 1
`
    expect(parseListeners(text)).toEqual([
      { host: '127.0.0.1', port: 5000, inode: '111' },
      { host: '::1', port: 5000, inode: '113' },
      { host: '2001:db8:0:0:0:0:ff00:1', port: 80, inode: '114' },
    ])
    expect(parseListeners('')).toEqual([])
  })
})

describe('the members', () => {
  const dialled = (outcome: Dialled['outcome'], peer = 'A'): Dialled => ({
    peer,
    address: '192.0.2.1:5001',
    outcome,
  })

  it.each<[boolean, number, Dialled[], string[], string]>([
    [true, 0, [], ['note'], 'on another host: shoal serve --join'],
    [true, 3, [], ['fine'], '3 members connected'],
    [false, 0, [], [], ''],
    [true, 0, [dialled('silent')], ['fault'], 'a firewall between the hosts drops it'],
    [true, 1, [dialled('silent')], ['fine', 'fault'], 'allow TCP port 5001'],
    [true, 0, [dialled('refused')], ['fault'], 'no node listens there'],
    [
      true,
      0,
      [dialled('refused'), dialled('silent', 'B')],
      ['fault', 'fault', 'fault'],
      'no member is connected',
    ],
    [true, 1, [dialled('refused')], ['fine', 'note'], 'no node listens there'],
    [true, 1, [dialled('unroutable')], ['fine', 'fault'], 'no way to 192.0.2.1:5001'],
    [true, 0, [dialled('open'), dialled('silent')], ['fault'], 'does not become a member'],
    [true, 0, [dialled('open')], ['fault'], 'an earlier version that cannot read what the other writes'],
    [false, 0, [dialled('open'), dialled('refused', 'B')], ['fine', 'fault'], 'A answers at'],
  ])('with running %s, %d connected and %j', (isRunning, connected, tried, expected, text) => {
    const findings = judgeMembers({ isRunning, connected, isCloned: false, dialled: tried })
    expect(levels(findings)).toEqual(expected)
    expect(words(findings)).toContain(text)
  })

  it('that a cut took away together are one entry, which names them', () => {
    const lost = ['B', 'C'].map((peer) => dialled('silent', peer))
    const away = dialled('unroutable', 'D')
    const [fault, ...others] = judgeMembers({
      isRunning: true,
      connected: 0,
      isCloned: false,
      dialled: [...lost, dialled('silent', 'B'), away],
    })
    expect(others).toEqual([])
    expect(fault).toMatchObject({ level: 'fault', advice: expect.stringContaining('TCP port 5001') })
    expect(fault?.found).toMatch(
      /^none of 3 members answers: B at 192\.0\.2\.1:5001, C at 192\.0\.2\.1:5001, D at 192\.0\.2\.1:5001; the line/,
    )
    const half = judgeMembers({ isRunning: true, connected: 2, isCloned: false, dialled: lost })
    expect(levels(half)).toEqual(['fine', 'fault'])
    expect(words(half)).toContain('2 members do not answer: B at')
    const many = Array.from({ length: 30 }, (_, index) => dialled('silent', `host-${index}`))
    const all = judgeMembers({ isRunning: true, connected: 0, isCloned: false, dialled: many })
    expect(words(all)).toContain('host-7 at 192.0.2.1:5001 and 22 more')
  })

  it('that refuse this node as it is banned are no faults of their own: the ban is', () => {
    const found = 'this node is banned since 2026-11-27 07:00:00 UTC'
    const banned = { found, advice: 'shoal member unban it' }
    const tried = [dialled('open'), dialled('open', 'B'), dialled('silent', 'C')]
    const findings = judgeMembers({ isRunning: true, connected: 0, isCloned: false, dialled: tried, banned })
    expect(findings).toEqual([
      { level: 'fault', ...banned },
      expect.objectContaining({ level: 'fault', found: expect.stringContaining('C does not answer') }),
    ])
  })

  it('that were replaced are no fault, and one that is away is said once', () => {
    const replaced = judgeMembers({
      isRunning: true,
      connected: 2,
      isCloned: false,
      dialled: [],
      replaced: 1,
    })
    expect(replaced).toEqual([
      { level: 'fine', found: '2 members connected, and none missing but 1 that another took the place of' },
    ])
    const dead: Dialled[] = ['10.0.0.2:5001', '10.1.0.2:5001', '[fd00::2]:5001'].map((address) => ({
      peer: 'p',
      address,
      outcome: 'silent',
    }))
    const findings = judgeMembers({ isRunning: true, connected: 2, isCloned: false, dialled: dead })
    expect(levels(findings)).toEqual(['fine', 'fault'])
  })

  it('were replaced where another is at their address, or on their host under their name', () => {
    const gone = { addresses: ['/ip4/10.0.0.2/tcp/5001/p2p/old', '/ip6/fd00::2/tcp/5001'], name: 'host-b' }
    const at = (address: string, name?: string) => [
      { addresses: [address], hosts: [address.split('/')[2] ?? ''], name },
    ]
    expect(isReplaced(gone, at('/ip4/10.0.0.2/tcp/5001/p2p/new'))).toBe(true)
    expect(isReplaced(gone, at('/ip4/10.0.0.2/tcp/49152/p2p/new', 'host-b'))).toBe(true)
    expect(isReplaced(gone, at('/ip4/10.0.0.2/tcp/49152/p2p/new', 'host-c'))).toBe(false)
    expect(isReplaced(gone, at('/ip4/10.0.0.3/tcp/5001/p2p/new', 'host-b'))).toBe(false)
    expect(isReplaced({ ...gone, name: undefined }, at('/ip4/10.0.0.2/tcp/1/p2p/new'))).toBe(false)
  })

  it('have identities of their own', () => {
    const self = { peer: 'id', name: 'host-a' }
    const findings = judgeMembers({ isRunning: true, connected: 1, isCloned: true, dialled: [], self })
    expect(levels(findings)).toEqual(['fault', 'fine'])
    expect(words(findings)).toContain('a second node runs with the identity of host-a (id)')
    expect(words(findings)).toContain('remove identity')
  })

  it('names both keys where the authority was handed over twice, and one that lies idle', () => {
    expect(judgeAuthority({ governs: 'one' })).toEqual([])
    const twice = judgeAuthority({ governs: 'one', contested: { from: 'root', other: 'two' } })
    expect(levels(twice)).toEqual(['fault'])
    expect(words(twice)).toContain('follows one, and heard of two')
    expect(levels(judgeAuthority({ governs: 'one', idleKey: 'root' }))).toEqual(['note'])
  })

  it('have clocks that agree', () => {
    expect(levels(judgeClock(2, undefined))).toEqual(['fine'])
    expect(levels(judgeClock(0, undefined))).toEqual(['note'])
    expect(words(judgeClock(2, 'the clock is off'))).toContain('run NTP')
  })
})

describe('discovery', () => {
  const facts = {
    looksByMdns: true,
    interfaces: ['eth0'],
    hasMulticastRoute: true,
    known: 0,
    connected: 0,
    hasJoined: true,
  }

  it.each([
    [{}, [], ''],
    [{ interfaces: [] }, ['fault'], 'no network besides loopback'],
    [{ interfaces: [], connected: 1 }, [], ''],
    [{ looksByMdns: false }, ['fault'], '--bootstrap'],
    [{ looksByMdns: false, hasJoined: false }, ['note'], '--no-mdns'],
    [{ looksByMdns: false, known: 1 }, [], ''],
    [{ hasMulticastRoute: false }, ['fault'], 'ip route add 224.0.0.0/4 dev eth0'],
    [{ hasMulticastRoute: false, known: 1 }, [], ''],
    [{ hasMulticastRoute: undefined }, [], ''],
  ])('with %j', (changes, expected, text) => {
    const findings = judgeDiscovery({ ...facts, ...changes })
    expect(levels(findings)).toEqual(expected)
    expect(words(findings)).toContain(text)
  })

  it.each([
    ['eth0\t00000000\t0100630A\t0003\t0\t0\t0\t00000000', true],
    ['eth0\t000000E0\t00000000\t0001\t0\t0\t0\t000000F0', true],
    ['eth0\t0000630A\t00000000\t0001\t0\t0\t0\t00FFFFFF', false],
    ['lo\t00000000\t00000000\t0001\t0\t0\t0\t00000000', false],
    ['eth0\t00000000\t00000000\t0002\t0\t0\t0\t00000000', false],
    ['nonsense', false],
    ['', false],
  ])('reads a route from %j', (line, has) => {
    expect(parseMulticastRoute(`Iface\tDestination\tGateway\n${line}\n`)).toBe(has)
  })
})

describe('an upstream', () => {
  const status = {
    name: 'docker.io',
    url: 'https://registry.example',
    isShared: true,
    manifestRequests: 0,
    blobRequests: 0,
    receivedBytes: 0,
  }

  it.each([
    [{ reachable: undefined }, 'note', 'was not asked yet'],
    [{ reachable: true }, 'fine', 'docker.io answers'],
    [{ reachable: true, lastError: 'answered 500' }, 'note', 'failed: answered 500'],
    [
      { reachable: false, lastError: 'no address' },
      'fault',
      'cannot be reached at https://registry.example: no address',
    ],
    [
      { reachable: true, lastError: 'says no', credentials: { from: '/etc/shoal.json', refused: true } },
      'fault',
      'refuses the credentials: says no they are set in /etc/shoal.json; put right ones there and restart the node',
    ],
    [
      { reachable: true, lastError: 'wants a user name and password, and none are configured' },
      'note',
      'failed: wants a user name and password',
    ],
    [{ reachable: true, credentials: { from: 'X', refused: false } }, 'fine', 'docker.io answers'],
    [{ reachable: true, pausedUntilMs: 0 }, 'fault', 'until 1970-01-01 00:00:00 UTC'],
    [{ reachable: true, remaining: 0 }, 'fault', 'no more requests'],
  ])('with %j is %s', (changes, level, text) => {
    const finding = judgeUpstream({ ...status, ...changes })
    expect(finding.level).toBe(level)
    expect(words([finding])).toContain(text)
  })
})
