/** What a ledger does with rows that its disk changed: none of them is believed, given away, or in the way of what is right. */
import { hash } from 'node:crypto'
import { join } from 'node:path'
import { Level } from 'level'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { silentLogger } from '../../src/base/base.ts'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { keyText, type RecordKey, recordDomain } from '../../src/records/record.ts'
import { answerReconciliation, type Ledger, reconcile } from '../../src/records/records.ts'
import { positionOf, recordsOf as rowsOf } from '../../src/records/storage.ts'
import { packPosition, StoredRecords } from '../../src/records/stored.ts'
import { channelPair, seal } from '../../src/wire/wire.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import {
  authority,
  bob,
  digestOf,
  fingerprintsOf,
  ManualClock,
  manifestChange,
  manifestDeletion,
  recordsOf,
  type TestLedger,
  tagChange,
  testLedger,
} from './fixture.ts'

const repository = parseRepository('team/app')
const [v1, v2] = ['v1', 'v2'].map(parseTag) as [ReturnType<typeof parseTag>, ReturnType<typeof parseTag>]
const content = 'a manifest'
const digest = digestOf(content)

let place: TestLedger
let clock: ManualClock
let spoken: object[]

beforeEach(async () => {
  clock = new ManualClock()
  spoken = []
  const logger = { ...silentLogger, error: (fields: object) => void spoken.push(fields) }
  place = await testLedger({ clock, logger })
  await place.ledger.publish([
    manifestChange('team/app', content),
    manifestChange('team/app', 'a signature', { subject: digest }),
    tagChange('team/app', 'v1', content),
    tagChange('team/app', 'v2', content),
    manifestChange('other/app', content),
  ])
})

afterEach(async () => {
  vi.restoreAllMocks()
  await place[Symbol.asyncDispose]()
})

type Rows = ReturnType<typeof rowsOf>
const raw = { valueEncoding: 'view' } as const

/** Changes rows behind the ledger's back. Returns all as they were. */
async function rot(
  work: (rows: Rows) => Promise<void> = async () => undefined,
): Promise<Map<string, string>> {
  const before = new Map<string, string>()
  await place.whileClosed(async (directory) => {
    await using db = new Level(join(directory, 'db'))
    const rows = rowsOf(db)
    for await (const [key, value] of rows.iterator<string, Uint8Array>({ ...raw }))
      before.set(key, Buffer.from(value).toString('latin1'))
    await work(rows)
  })
  return before
}

/** Flips a bit of one digit of a row's value, wherever in it `text` is, or in its middle. */
async function flip(rows: Rows, key: string, text?: string): Promise<void> {
  const value = Buffer.from((await rows.get<string, Uint8Array>(key, raw)) ?? [])
  expect(value.length, key).toBeGreaterThan(0)
  const at = text === undefined ? value.length >> 1 : value.indexOf(text)
  expect(at).toBeGreaterThanOrEqual(0)
  value.writeUInt8(value.readUInt8(at) ^ 1, at)
  await rows.put<string, Uint8Array>(key, value, raw)
}

/** The row under another name, as a flipped bit of its key leaves it. */
async function misname(rows: Rows, from: string, to: string): Promise<void> {
  const value = await rows.get<string, Uint8Array>(from, raw)
  await rows.del(from)
  await rows.put<string, Uint8Array>(to, value ?? new Uint8Array(), raw)
}

async function shown(ledger: Ledger) {
  return {
    tags: await ledger.listTags(repository, { limit: 10 }),
    v1: (await ledger.findTag(repository, v1))?.digest,
    v2: (await ledger.findTag(repository, v2))?.digest,
    tagsOf: await ledger.tagsOf(repository, digest),
    manifest: await ledger.findManifest(repository, digest),
    manifests: (await ledger.listManifests(repository, { limit: 10 })).map((entry) => entry.size),
    referrers: (await ledger.listReferrers(repository, digest, { limit: 10 })).map((entry) => entry.digest),
    repositories: await ledger.listRepositories({ limit: 10 }),
  }
}

const position = async (rows: Rows, key: string): Promise<string> => {
  for await (const [at, value] of rows.iterator<string, Uint8Array>({ gte: 'h', lt: 'i', ...raw }))
    if (Buffer.from(value).toString('latin1', 32) === key) return at
  throw new Error(`no position of ${key}`)
}

const other = 'f'.repeat(64)
const damages: [string, (rows: Rows) => Promise<void>][] = [
  ['a digit of the digest in a tag', (rows) => flip(rows, 'Tteam/app:v1', digest.slice(7))],
  ['the name of a tag', (rows) => misname(rows, 'Tteam/app:v1', 'Tteam/app:w1')],
  ['a tag that is no JSON any more', (rows) => flip(rows, 'Tteam/app:v1', '"')],
  ['a tag that is lost', (rows) => rows.del('Tteam/app:v2')],
  ['a manifest', (rows) => flip(rows, `Mteam/app@${digest}`, '7')],
  [
    'the digest that names a manifest',
    (rows) => misname(rows, `Mteam/app@${digest}`, `Mteam/app@sha256:${other}`),
  ],
  ['which tags a manifest has', (rows) => misname(rows, `Dteam/app@${digest} v1`, `Dteam/app@${digest} w1`)],
  [
    'what a referrer refers to',
    (rows) =>
      misname(
        rows,
        `Steam/app@${digest} ${digestOf('a signature')}`,
        `Steam/app@sha256:${other} ${digestOf('a signature')}`,
      ),
  ],
  ['how many manifests a repository has', (rows) => rows.put('Cteam/app', '7')],
  ['the name of a repository', (rows) => misname(rows, 'Cother/app', 'Cothes/app')],
  ["a record's position", async (rows) => flip(rows, await position(rows, 'tteam/app:v1'))],
  [
    "a record's position, cut short",
    async (rows) => rows.put<string, Uint8Array>(await position(rows, 'tteam/app:v1'), Buffer.from('x'), raw),
  ],
  [
    'where a record stands',
    async (rows) => misname(rows, await position(rows, 'tteam/app:v1'), `h${'0'.repeat(32)}`),
  ],
]

describe('a row that a disk changed', () => {
  it.each(damages)('shows nothing that is wrong, and is derived anew by an audit: %s', async (_, damage) => {
    const right = await shown(place.ledger)
    const root = (await fingerprintsOf(place.ledger)).of('')
    const before = await rot(damage)
    const now = await shown(place.ledger)
    for (const name of ['v1', 'v2', 'manifest'] as const) expect(now[name], name).toEqual(right[name])
    for (const name of ['tags', 'tagsOf', 'manifests', 'referrers', 'repositories'] as const)
      for (const one of now[name]) expect(right[name], name).toContainEqual(one)
    const report = await place.ledger.audit()
    expect(report).toMatchObject({ records: 5, dropped: 0 })
    expect(report.rows).toBeGreaterThan(0)
    expect(spoken).toEqual([report])
    expect(place.ledger.damage()).toEqual(report)
    expect(await shown(place.ledger)).toEqual(right)
    expect((await fingerprintsOf(place.ledger)).of('')).toEqual(root)
    expect((await fingerprintsOf(place.ledger)).total).toBe(5)
    expect(await rot()).toEqual(before)
  })

  it('is not found where nothing rotted', async () => {
    await place.ledger.publish([tagChange('team/app', 'v2', undefined)])
    clock.ms += 31 * 24 * 3_600_000
    await place.ledger.sweep()
    expect(await place.ledger.audit()).toEqual({ records: 4, dropped: 0, unreadable: 0, rows: 0 })
    expect(spoken).toEqual([])
  })

  it('is not suspected where the write of one came between two reads', async () => {
    const damaged = vi.spyOn(StoredRecords.prototype, 'damaged')
    const engine = Level.prototype as unknown as { _getSync(key: unknown, options: object): unknown }
    // The row was not there yet; the record is.
    vi.spyOn(engine, '_getSync').mockReturnValueOnce(undefined)
    expect((await place.ledger.findTag(repository, v1))?.digest).toBe(digest)
    expect(damaged).not.toHaveBeenCalled()
  })

  it('has all of them looked at, soon after a read came upon it', async () => {
    const steady = new SteppedClock()
    const found = Promise.withResolvers<object>()
    const logger = { ...silentLogger, error: found.resolve }
    await place.reopen({ clock: steady, steady, logger })
    await rot(async (rows) => {
      await flip(rows, 'Tteam/app:v1')
      await flip(rows, 'Tteam/app:v2')
    })
    await place.ledger.findTag(repository, v1)
    await steady.untilAsleep(1_000)
    steady.advance(1_000)
    expect(await found.promise).toEqual({ records: 5, dropped: 0, unreadable: 0, rows: 2 })
  })

  it('was written without a sum by an earlier version, and is taken for what it is', async () => {
    await rot(async (rows) => {
      for await (const [key, row] of rows.iterator({ gte: 'M', lt: 'U' }))
        if (row.startsWith('{')) await rows.put(key, row.replace(/,"crc":"[0-9a-f]{8}"/, ''))
    })
    expect((await place.ledger.findTag(repository, v1))?.digest).toBe(digest)
    expect(await place.ledger.audit()).toMatchObject({ dropped: 0, rows: 0 })
    expect((await rot()).get('Tteam/app:v1')).toContain('"crc"')
  })
})

describe('a record that a disk changed', () => {
  const damaged = (rows: Rows): Promise<void> => flip(rows, 'rteam/app:v1'.replace('r', 'rt'))

  it('is neither given to members nor taken for what was written', async () => {
    const key = { kind: 'tag', repository, tag: v1 } as const
    expect(place.ledger.findRecord(key)).toBeDefined()
    await rot(damaged)
    expect(place.ledger.findRecord(key)).toBeUndefined()
    // What was derived from it before is still what it said.
    expect((await place.ledger.findTag(repository, v1))?.digest).toBe(digest)
  })

  it('does not keep anybody from writing it anew, from here or from elsewhere', async () => {
    await rot(async (rows) => {
      await damaged(rows)
      await flip(rows, 'rtteam/app:v2')
    })
    await using away = await testLedger({ identity: bob, clock })
    clock.ms += 1
    const [record] = await recordsOf(away.ledger, () =>
      away.ledger.publish([tagChange('team/app', 'v1', 'theirs')]),
    )
    const report = await place.ledger.apply([record ?? new Uint8Array()])
    expect(report).toMatchObject({ applied: 1, blame: undefined })
    await place.ledger.publish([tagChange('team/app', 'v2', 'mine')])
    expect(await shown(place.ledger)).toMatchObject({ v1: digestOf('theirs'), v2: digestOf('mine') })
    await place.ledger.audit()
    expect(await place.ledger.audit()).toEqual({ records: 5, dropped: 0, unreadable: 0, rows: 0 })
    const root = (await fingerprintsOf(place.ledger)).of('')
    await place.reopen()
    expect((await fingerprintsOf(place.ledger)).of('')).toEqual(root)
  })

  it('does not keep the ledger from being swept', async () => {
    await rot(damaged)
    clock.ms += 31 * 24 * 3_600_000
    await place.ledger.sweep()
    expect(spoken).toEqual([])
  })

  it('is dropped by an audit, with what it said, and comes back from a member', async () => {
    await using member = await testLedger({ identity: bob, clock })
    await converse(place.ledger, member.ledger)
    const right = await shown(member.ledger)
    const before = await rot(async (rows) => {
      await damaged(rows)
      await flip(rows, `rmteam/app@${digest}`)
    })
    expect(await place.ledger.audit()).toMatchObject({ records: 5, dropped: 2 })
    expect(await place.ledger.findTag(repository, v1)).toBeUndefined()
    await converse(place.ledger, member.ledger)
    expect(await shown(place.ledger)).toEqual(right)
    expect(await shown(member.ledger)).toEqual(right)
    const after = await rot()
    // Since when an author is known here is this node's own.
    expect([...after].filter(([key]) => !key.startsWith('a'))).toEqual(
      [...before].filter(([key]) => !key.startsWith('a')),
    )
  })

  it('costs nobody a reconciliation before an audit has dropped it', async () => {
    await using member = await testLedger({ identity: bob, clock })
    await rot(damaged)
    await converse(place.ledger, member.ledger)
    expect(await member.ledger.listTags(repository, { limit: 10 })).toEqual(['v2'])
  })
})

describe('a record that this code cannot read', () => {
  /** As a version stored it that knows more, or was less strict: its bytes are what was written. */
  async function store(rows: Rows, key: string): Promise<void> {
    const bytes = seal(recordDomain, Buffer.from('what a later version says'), bob)
    await rows.put<string, Uint8Array>(`r${key}`, bytes, raw)
    const value = packPosition(hash('sha256', bytes, 'buffer'), key)
    await rows.put<string, Uint8Array>(`h${positionOf(key)}`, value, raw)
  }
  const keys: RecordKey[] = [
    { kind: 'tag', repository, tag: v1 },
    { kind: 'manifest', repository, digest },
    { kind: 'account', name: 'ann' },
    { kind: 'member', peer: bob.peerId },
    { kind: 'invitation', id: '0'.repeat(32) },
    { kind: 'admission', invitation: '0'.repeat(32), peer: bob.peerId, by: bob.peerId },
    { kind: 'policy' },
  ]

  it.each(keys)('counts as missing, and keeps nothing else from working: $kind', async (key) => {
    await rot((rows) => store(rows, keyText(key)))
    expect(place.ledger.findRecord(key)).toBeUndefined()
    expect(await place.ledger.listAccounts({ limit: 10 })).toEqual([])
    await place.ledger.sweep()
    await using member = await testLedger({ identity: bob, clock })
    await converse(place.ledger, member.ledger)
    expect(member.ledger.findRecord(key)).toBeUndefined()
  })

  it.each(keys)('is set aside by an audit, told once, and known after a restart: $kind', async (key) => {
    await rot((rows) => store(rows, keyText(key)))
    spoken = []
    expect(await place.ledger.audit()).toMatchObject({ unreadable: 1, dropped: 0 })
    expect(await place.ledger.audit()).toMatchObject({ unreadable: 0, dropped: 0, rows: 0 })
    expect(spoken).toEqual([{ records: 1 }])
    expect(place.ledger.unreadable()).toBe(1)
    await using member = await testLedger({ identity: bob, clock })
    await converse(place.ledger, member.ledger)
    const root = async ({ ledger }: TestLedger): Promise<unknown> => (await fingerprintsOf(ledger)).of('')
    expect(await root(place)).toEqual(await root(member))
    await place.reopen()
    expect(place.ledger.unreadable()).toBe(1)
  })

  it('is written anew by whoever may, and forgotten then', async () => {
    await rot((rows) => store(rows, 'tteam/app:v1'))
    clock.ms += 1
    await place.ledger.publish([tagChange('team/app', 'v1', 'anew')])
    await place.ledger.audit()
    await rot((rows) => store(rows, 'tteam/app:v2'))
    await place.ledger.audit()
    expect(place.ledger.unreadable()).toBe(1)
    clock.ms += 1
    await place.ledger.publish([tagChange('team/app', 'v2', 'anew')])
    expect(await shown(place.ledger)).toMatchObject({ v1: digestOf('anew'), v2: digestOf('anew') })
    await place.ledger.audit()
    expect(place.ledger.unreadable()).toBe(0)
    expect([...(await rot()).keys()].filter((row) => row.startsWith('u'))).toEqual([])
  })

  it('counts again once a version that reads it opens the ledger, unless it was overtaken', async () => {
    await using away = await testLedger({ identity: bob, clock: new ManualClock(clock.ms + 5) })
    const [later, earlier] = await recordsOf(away.ledger, () =>
      away.ledger.publish([tagChange('team/app', 'v3', 'theirs'), tagChange('team/app', 'v2', 'theirs')]),
    )
    clock.ms += 10
    await place.ledger.publish([tagChange('team/app', 'v2', 'mine')])
    await rot(async (rows) => {
      await rows.put<string, Uint8Array>('utteam/app:v3', later ?? new Uint8Array(), raw)
      await rows.put<string, Uint8Array>('utteam/app:v2', earlier ?? new Uint8Array(), raw)
    })
    expect(place.ledger.unreadable()).toBe(0)
    expect((await place.ledger.findTag(repository, parseTag('v3')))?.digest).toBe(digestOf('theirs'))
    expect((await place.ledger.findTag(repository, v2))?.digest).toBe(digestOf('mine'))
    expect([...(await rot()).keys()].filter((row) => row.startsWith('u'))).toEqual([])
  })
})

it('knows no buried deletion that a disk changed', async () => {
  await place.ledger.publish([tagChange('team/app', 'v1', undefined), manifestDeletion('other/app', content)])
  clock.ms += 31 * 24 * 3_600_000
  await place.ledger.sweep()
  await rot((rows) => flip(rows, 'gtteam/app:v1'))
  await using away = await testLedger({
    identity: bob,
    clock: new ManualClock(clock.ms - 40 * 24 * 3_600_000),
  })
  const records = await recordsOf(away.ledger, () =>
    away.ledger.publish([tagChange('team/app', 'v1', 'old')]),
  )
  const told: Uint8Array[] = []
  place.ledger.onRecords((spread, { own }) => own && told.push(...spread))
  await place.ledger.apply(records)
  expect(told).toEqual([])
  await place.ledger.audit()
  expect(await place.ledger.audit()).toMatchObject({ rows: 0 })
})

it('opens with a policy that a disk changed, and takes it from a member', async () => {
  await using member = await testLedger({ identity: bob, clock, authorityIdentity: authority })
  await member.ledger.setPolicy({
    rules: [],
    immutable: [{ repositories: 'team/*', tags: 'v*' }],
    sealers: [],
    banned: [],
  })
  await converse(place.ledger, member.ledger)
  await rot((rows) => flip(rows, 'rp'))
  expect(spoken).toHaveLength(1)
  await place.ledger.audit()
  await converse(place.ledger, member.ledger)
  expect(place.ledger.policy()).toEqual(member.ledger.policy())
})

async function converse(one: Ledger, another: Ledger): Promise<void> {
  const { a, b } = channelPair()
  await Promise.all([reconcile(a, one, { clock }), answerReconciliation(b, another, { clock })])
}
