import { describe, expect, it } from 'vitest'
import { parseRepository } from '../../src/oci/oci.ts'
import { messages } from '../../src/records/reconcile-messages.ts'
import {
  answerReconciliation,
  type Ledger,
  type ReconcileReport,
  reconcile,
} from '../../src/records/records.ts'
import { channelPair } from '../../src/wire/wire.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import { seededNumbers } from '../store/random.ts'
import {
  alice,
  bob,
  fingerprintsOf,
  ManualClock,
  recordsOf,
  signedTags,
  tagChange,
  testLedger,
} from './fixture.ts'

interface Both {
  near: ReconcileReport
  far: ReconcileReport
  bytes: number
}

async function meet(a: Ledger, b: Ledger): Promise<Both> {
  const pair = channelPair()
  const [near, far] = await Promise.all([reconcile(pair.a, a), answerReconciliation(pair.b, b)])
  return { near, far, bytes: pair.sent.a + pair.sent.b }
}

async function expectSame(a: Ledger, b: Ledger): Promise<void> {
  expect((await fingerprintsOf(a)).of('')).toEqual((await fingerprintsOf(b)).of(''))
}

const hello = {
  type: 'hello',
  version: 1,
  now: 0,
  total: 5,
  root: new Uint8Array(32),
  policy: new Uint8Array(),
} as const

describe('reconciliation', () => {
  it('moves almost nothing when nothing differs', async () => {
    await using one = await testLedger()
    await using two = await testLedger()
    const records = signedTags(alice, 600)
    for (const { ledger } of [one, two]) await ledger.apply(records)
    const { near, far, bytes } = await meet(one.ledger, two.ledger)
    expect(near).toMatchObject({ recordsSent: 0, applied: 0 })
    expect(far).toMatchObject({ recordsSent: 0, applied: 0 })
    expect(bytes).toBeLessThan(1024)
  })

  it('brings over what differs, both ways, and little else', async () => {
    await using one = await testLedger()
    await using two = await testLedger({ identity: bob })
    const records = signedTags(alice, 1200)
    for (const { ledger } of [one, two]) await ledger.apply(records)
    await one.ledger.publish([1, 2, 3].map((n) => tagChange('team/app', `new${n}`, 'x')))
    await two.ledger.publish([4, 5].map((n) => tagChange('team/app', `new${n}`, 'x')))
    await two.ledger.publish([tagChange('many/tags', 't7', 'moved'), tagChange('many/tags', 't8', undefined)])
    const { near, far, bytes } = await meet(one.ledger, two.ledger)
    expect(near.applied).toBe(4)
    expect(far.applied).toBe(3)
    expect(bytes).toBeLessThan(40_000)
    await expectSame(one.ledger, two.ledger)
    expect((await meet(one.ledger, two.ledger)).near.turns).toBe(0)
  })

  it.each([
    ['the initiator', 0, 800],
    ['the responder', 800, 0],
    ['neither', 400, 800],
    ['neither, and one has far more', 3, 1197],
  ])('fills ledgers when %s is empty', async (_, first, second) => {
    await using one = await testLedger()
    await using two = await testLedger()
    const records = signedTags(alice, 1200)
    await one.ledger.apply(records.slice(0, first))
    await two.ledger.apply(records.slice(first, first + second))
    await meet(one.ledger, two.ledger)
    await expectSame(one.ledger, two.ledger)
    expect((await fingerprintsOf(one.ledger)).total).toBe(first + second)
  })

  it('of a key that both hold sends the older record only when the responder has it', async () => {
    await using one = await testLedger()
    await using two = await testLedger({ identity: bob })
    const records = signedTags(alice, 300)
    for (const { ledger } of [one, two]) await ledger.apply(records)
    const moved = Array.from({ length: 40 }, (_, n) => tagChange('many/tags', `t${n}`, 'moved'))
    await two.ledger.publish(moved)
    const older = await meet(one.ledger, two.ledger)
    expect(older.near).toMatchObject({ recordsSent: 0, applied: 40 })
    expect(older.far).toMatchObject({ recordsSent: 40, applied: 0 })
    await one.ledger.publish(moved)
    const newer = await meet(one.ledger, two.ledger)
    expect(newer.near).toMatchObject({ recordsSent: 40, applied: 0 })
    expect(newer.far).toMatchObject({ recordsSent: 40, applied: 40 })
    await expectSame(one.ledger, two.ledger)
  })

  it('with two members at once brings most records from one of them', async () => {
    await using one = await testLedger()
    await using two = await testLedger()
    await using newcomer = await testLedger({ identity: bob })
    const records = signedTags(alice, 2400)
    for (const { ledger } of [one, two]) await ledger.apply(records)
    const [begun, answered] = [channelPair(), channelPair()]
    const [, first, second] = await Promise.all([
      reconcile(begun.a, newcomer.ledger, { random: seededNumbers(1) }),
      answerReconciliation(begun.b, one.ledger),
      reconcile(answered.a, two.ledger, { random: seededNumbers(2) }),
      answerReconciliation(answered.b, newcomer.ledger),
    ])
    expect(first.recordsSent + second.recordsSent).toBeLessThan(1.8 * records.length)
    await expectSame(newcomer.ledger, one.ledger)
  })

  it('says how far the peer is ahead', async () => {
    await using one = await testLedger()
    await using two = await testLedger()
    const pair = channelPair()
    const ahead = new ManualClock(Date.now() + 60_000)
    let aheadMs = 0
    const onClock = (ms: number): void => {
      aheadMs = ms
    }
    await Promise.all([
      reconcile(pair.a, one.ledger, { onClock }),
      answerReconciliation(pair.b, two.ledger, { clock: ahead }),
    ])
    expect(aheadMs).toBeGreaterThan(50_000)
  })
})

it('answers a part that was listed in several ranges without a gap or an overlap', async () => {
  await using node = await testLedger()
  await node.ledger.apply(signedTags(alice, 100))
  const positions = await Array.fromAsync((await node.ledger.positions()).under(''))
  const pair = channelPair()
  const answering = answerReconciliation(pair.b, node.ledger)
  await pair.a.send(messages.encode({ ...hello }))
  const middle = positions[49]?.position ?? ''
  const listed = positions
    .slice(10, 20)
    .map(({ position, hash }) => Buffer.concat([Buffer.from(position, 'hex'), hash.subarray(0, 16)]))
  const none = new Uint8Array()
  const ranges = [
    { prefix: '', after: '', upTo: middle, items: Buffer.concat(listed) },
    { prefix: '', after: middle, upTo: '', items: none },
  ]
  await pair.a.send(messages.encode({ type: 'items', ranges }))
  await pair.a.send(messages.encode({ type: 'over' }))
  await pair.a.send(messages.encode({ type: 'done' }))
  await answering
  const received: Uint8Array[] = []
  for (let frame = await pair.a.receive(); frame !== undefined; frame = await pair.a.receive()) {
    const message = messages.decode(frame)
    if (message.type === 'records') received.push(...message.records)
  }
  expect(new Set(received.map((record) => Buffer.from(record).toString('hex'))).size).toBe(90)
  expect(received).toHaveLength(90)
})

describe('a hostile peer', () => {
  const zeros = (length: number): Uint8Array => new Uint8Array(length)

  it.each([
    ['bytes that are no message', [Buffer.from('nonsense')]],
    ['no hello', [messages.encode({ type: 'over' })]],
    ['another version', [messages.encode({ ...hello, version: 2 })]],
    [
      'an answer instead of a question',
      [
        messages.encode(hello),
        messages.encode({ type: 'want', positions: zeros(16) }),
        messages.encode({ type: 'over' }),
      ],
    ],
    [
      'a comparison below the leaves',
      [
        messages.encode(hello),
        messages.encode({ type: 'compare', nodes: [{ prefix: 'abcd', children: zeros(512) }] }),
        messages.encode({ type: 'over' }),
      ],
    ],
    [
      'half an item',
      [
        messages.encode(hello),
        messages.encode({ type: 'items', ranges: [{ prefix: '', after: '', upTo: '', items: zeros(33) }] }),
        messages.encode({ type: 'over' }),
      ],
    ],
    [
      'an item outside its range',
      [
        messages.encode(hello),
        messages.encode({ type: 'items', ranges: [{ prefix: 'f', after: '', upTo: '', items: zeros(32) }] }),
        messages.encode({ type: 'over' }),
      ],
    ],
    [
      'a record that is none',
      [
        messages.encode(hello),
        messages.encode({ type: 'records', records: [zeros(200)] }),
        messages.encode({ type: 'over' }),
      ],
    ],
    [
      'records without a record',
      [messages.encode(hello), ...Array(2).fill(messages.encode({ type: 'records', records: [] }))],
    ],
    ['questions about nothing', [messages.encode(hello), messages.encode({ type: 'compare', nodes: [] })]],
    ['lists of nothing', [messages.encode(hello), messages.encode({ type: 'items', ranges: [] })]],
    [
      'turns in which it says nothing',
      [messages.encode(hello), ...Array(20).fill(messages.encode({ type: 'over' }))],
    ],
    ['a second hello', [messages.encode(hello), messages.encode(hello), messages.encode({ type: 'over' })]],
  ])('is cut off for %s', async (_, frames) => {
    await using node = await testLedger()
    const pair = channelPair()
    const answering = answerReconciliation(pair.b, node.ledger)
    const expected = expect(answering).rejects.toMatchObject({ code: 'PEER_MISBEHAVED' })
    for (const frame of frames) await pair.a.send(frame)
    await expected
    await expect(pair.a.send(zeros(1))).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
  })

  it('is cut off when it asks for everything again and again', async () => {
    await using node = await testLedger()
    await node.ledger.apply(signedTags(alice, 1000))
    const pair = channelPair()
    const answering = answerReconciliation(pair.b, node.ledger)
    const expected = expect(answering).rejects.toMatchObject({ code: 'PEER_MISBEHAVED' })
    await pair.a.send(messages.encode(hello))
    const range = { prefix: '', after: '', upTo: '', items: zeros(0) }
    await pair.a.send(messages.encode({ type: 'items', ranges: Array(50).fill(range) }))
    await pair.a.send(messages.encode({ type: 'over' }))
    while ((await pair.a.receive().catch(() => undefined)) !== undefined);
    await expected
  })

  it('is cut off when it sends too much, or nothing', async () => {
    await using node = await testLedger()
    const pair = channelPair()
    const answering = answerReconciliation(pair.b, node.ledger, { maxBytes: 100 })
    const expected = expect(answering).rejects.toMatchObject({ code: 'PEER_MISBEHAVED' })
    await pair.a.send(messages.encode({ ...hello, policy: zeros(32) }))
    await expected
    const silent = answerReconciliation(channelPair().b, node.ledger, { idleMs: 1 })
    await expect(silent).rejects.toMatchObject({ code: 'PEER_MISBEHAVED' })
  })

  it('that always has something to say is left when all of it takes too long, and not blamed', async () => {
    await using node = await testLedger()
    const clock = new SteppedClock()
    const startMs = clock.now()
    const pair = channelPair()
    const answering = answerReconciliation(pair.b, node.ledger, { clock, idleMs: 10_000, maxMs: 60_000 })
    const expected = expect(answering).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    await pair.a.send(messages.encode(hello))
    for (const record of signedTags(alice, 8)) {
      await clock.untilAsleep(10_000)
      clock.advance(9_000)
      if (clock.now() - startMs >= 60_000) break
      await pair.a.send(messages.encode({ type: 'records', records: [record] }))
    }
    await expected
  })

  it('that answers what was not asked is cut off', async () => {
    await using node = await testLedger()
    await node.ledger.apply(signedTags(alice, 100))
    const pair = channelPair()
    const asking = reconcile(pair.a, node.ledger)
    const expected = expect(asking).rejects.toMatchObject({ code: 'PEER_MISBEHAVED' })
    await pair.b.send(messages.encode(hello))
    await pair.b.send(messages.encode({ type: 'differ', nodes: [{ prefix: 'ab', differing: 1, empty: 0 }] }))
    await pair.b.send(messages.encode({ type: 'over' }))
    await expected
  })

  it('is left with nothing behind when this node cannot say what it has', async () => {
    await using node = await testLedger()
    const clock = new SteppedClock()
    const ledger = new Proxy(node.ledger, {
      get: (target, key) =>
        key === 'positions'
          ? () => Promise.reject(new Error('the database is closed'))
          : Reflect.get(target, key),
    })
    const pair = channelPair()
    await expect(reconcile(pair.a, ledger, { clock })).rejects.toThrow('the database is closed')
    await expect(pair.b.receive()).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    expect(clock.sleepers).toBe(0)
  })

  it('that leaves is no misbehaviour', async () => {
    await using node = await testLedger()
    const pair = channelPair()
    const asking = reconcile(pair.a, node.ledger)
    const expected = expect(asking).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    await pair.b.close()
    await expected
  })
})

it('goes on while both ledgers are written to', async () => {
  await using one = await testLedger()
  await using two = await testLedger({ identity: bob })
  await one.ledger.apply(signedTags(alice, 300))
  const app = parseRepository('team/app')
  const writing = recordsOf(one.ledger, async () => {
    for (let n = 0; n < 50; n++) await one.ledger.publish([tagChange('team/app', `t${n}`, `${n}`)])
  })
  await Promise.all([meet(one.ledger, two.ledger), writing])
  await meet(two.ledger, one.ledger)
  await expectSame(one.ledger, two.ledger)
  expect(await two.ledger.listTags(app, { limit: 100 })).toHaveLength(50)
})
