import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/base.ts'
import { Intake } from '../../src/records/intake.ts'
import { openPolicy } from '../../src/records/policy.ts'
import { decodeRecord, type RecordBody, signRecord } from '../../src/records/record.ts'
import { answerReconciliation, type Ledger, reconcile } from '../../src/records/records.ts'
import { Rules } from '../../src/records/rules.ts'
import type { Database } from '../../src/records/storage.ts'
import { channelPair, type Identity } from '../../src/wire/wire.ts'
import { manifestRecords, tagRecords } from '../hostile/records.ts'
import { alice, authority, bob, fingerprintsOf, identity, ManualClock, testLedger } from './fixture.ts'

const now = 1_800_000_000_000
const hourMs = 60 * 60_000
const options = { ms: now - 1000 }
/** What the large records of all new authors may take at once, in records of 60 KiB. */
const largeAtOnce = 280

/** Records as large as may be, each by an author of its own. */
function flood(first: number, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, n) =>
    manifestRecords(identity(1000 + first + n), 1, options),
  ).flat()
}

async function meet(near: Ledger, far: Ledger, clock: ManualClock) {
  const { a, b } = channelPair()
  const [report] = await Promise.all([reconcile(a, near, { clock }), answerReconciliation(b, far, { clock })])
  return report
}

async function isSame(a: Ledger, b: Ledger): Promise<boolean> {
  return Buffer.compare((await fingerprintsOf(a)).of(''), (await fingerprintsOf(b)).of('')) === 0
}

function policyNaming(author: Identity): Uint8Array {
  const rules = [{ repositories: 'team/**', authors: [author.publicKey] }]
  const body: RecordBody = {
    kind: 'policy',
    key: '',
    time: [now, 0],
    value: { rules, immutable: [], banned: [] },
  }
  return signRecord(body, authority).envelope.bytes
}

describe('a flood of records by ever new authors', () => {
  it('is taken only as fast as all of them together may write', async () => {
    const clock = new ManualClock(now)
    await using node = await testLedger({ clock })
    const { applied, refused, blame } = await node.ledger.apply(flood(0, 400))
    expect(applied).toBeLessThan(largeAtOnce)
    expect(refused).toEqual({ delayed: 400 - applied })
    expect(blame).toBeUndefined()
    clock.ms += 60_000
    expect((await node.ledger.apply(flood(400, 20))).applied).toBeLessThan(8)
  })

  it('delays neither small records, nor known authors, nor those that the policy names, nor own ones', async () => {
    const clock = new ManualClock(now)
    await using node = await testLedger({ clock, identity: alice })
    await node.ledger.apply([...tagRecords(bob, 1, options), policyNaming(identity(3))])
    clock.ms += hourMs
    await node.ledger.apply(flood(0, 400))
    const named = { ...options, repository: 'team/app' }
    for (const records of [
      tagRecords(identity(4), 10, options),
      manifestRecords(bob, 10, options),
      manifestRecords(identity(3), 10, named),
      manifestRecords(authority, 10, options),
      manifestRecords(alice, 10, options),
    ]) {
      expect(await node.ledger.apply(records)).toMatchObject({ applied: 10, refused: {} })
    }
    expect((await node.ledger.apply(manifestRecords(identity(4), 2, options))).applied).toBe(0)
    const wanted = await node.ledger.apply(manifestRecords(identity(4), 2, options), { wanted: () => true })
    expect(wanted.applied).toBe(2)
  })

  it('is sent to a node once, and stands there alike in the end', async () => {
    const clock = new ManualClock(now)
    await using node = await testLedger({ clock, identity: bob })
    await using full = await testLedger({ clock })
    await full.ledger.apply(flood(0, largeAtOnce + 20), { wanted: () => true })
    const honest = tagRecords(identity(5), 5, options)
    await full.ledger.apply(honest)
    const first = await meet(node.ledger, full.ledger, clock)
    expect(first.bytesReceived).toBeGreaterThan(10_000_000)
    expect(await isSame(node.ledger, full.ledger)).toBe(false)
    expect(await node.ledger.apply(honest)).toMatchObject({ known: honest.length })
    for (const [near, far] of [
      [node.ledger, full.ledger],
      [full.ledger, node.ledger],
    ] as const) {
      const again = await meet(near, far, clock)
      expect(again.bytesReceived + again.bytesSent).toBeLessThan(100_000)
    }
    clock.ms += hourMs
    await meet(node.ledger, full.ledger, clock)
    expect(await isSame(node.ledger, full.ledger)).toBe(true)
  })
})

it('an author that never stops writing delays nothing of one that writes seldom', async () => {
  const clock = new ManualClock(now)
  const db = { getSync: () => `${now - 2 * hourMs}` } as unknown as Database
  const intake = new Intake({ db, own: new Uint8Array(32), clock, now: () => clock.ms, logger: silentLogger })
  const rules = new Rules(openPolicy, authority.publicKey)
  const [flooding, seldom] = [alice, bob].map((author) =>
    decodeRecord(manifestRecords(author, 1, options)[0] ?? new Uint8Array()),
  )
  if (flooding === undefined || seldom === undefined) throw new Error('no records')
  for (let minute = 0; minute < 10; minute++) {
    clock.ms += 60_000
    while (intake.take(flooding, rules));
    expect(intake.take(seldom, rules)).toBe(true)
  }
})

it('what waits is listed by any prefix in order, and each position once', async () => {
  const clock = new ManualClock(now)
  await using node = await testLedger({ clock })
  await node.ledger.apply(flood(0, 330))
  const positions = await node.ledger.positions()
  const all = await Array.fromAsync(positions.listed(''), ({ position }) => position)
  expect(all).toHaveLength(330)
  expect(all).toEqual([...new Set(all)].sort())
  for (const prefix of ['0', '1f', 'abc', 'a', '7777']) {
    const under = await Array.fromAsync(positions.listed(prefix), ({ position }) => position)
    expect(under).toEqual(all.filter((position) => position.startsWith(prefix)))
  }
})

it('an import of 100,000 tags with their manifests by one new author is taken at once', async () => {
  const clock = new ManualClock(now)
  await using node = await testLedger({ clock })
  const db = { getSync: () => undefined } as unknown as Database
  const intake = new Intake({ db, own: new Uint8Array(32), clock, now: () => clock.ms, logger: silentLogger })
  const author = identity(7)
  const rules = new Rules(openPolicy, authority.publicKey)
  const records = [
    ...tagRecords(author, 1, options),
    ...manifestRecords(author, 1, { ...options, size: 600 }),
  ]
  expect((await node.ledger.apply(records)).applied).toBe(2)
  for (const record of records.map(decodeRecord)) {
    let taken = 0
    while (taken < 100_000 && intake.take(record, rules)) taken++
    expect(taken).toBe(100_000)
  }
})
