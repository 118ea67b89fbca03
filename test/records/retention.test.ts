import { describe, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { answerReconciliation, type Ledger, reconcile } from '../../src/records/records.ts'
import { channelPair } from '../../src/wire/wire.ts'
import {
  alice,
  bob,
  digestOf,
  fingerprintsOf,
  ManualClock,
  manifestChange,
  manifestDeletion,
  recordsOf,
  tagChange,
  testLedger,
} from './fixture.ts'

const app = parseRepository('team/app')
const v1 = parseTag('v1')
const day = 24 * 60 * 60_000

async function meet(a: Ledger, b: Ledger): Promise<void> {
  const { a: near, b: far } = channelPair()
  await Promise.all([reconcile(near, a), answerReconciliation(far, b)])
}

const total = async (ledger: Ledger): Promise<number> => (await fingerprintsOf(ledger)).total

describe('a deletion', () => {
  it('of a manifest hides a tag alike where it is remembered and where it was never heard of', async () => {
    const clock = new ManualClock()
    await using node = await testLedger({ clock })
    await using away = await testLedger({ clock, identity: bob })
    const tag = await recordsOf(away.ledger, () => away.ledger.publish([tagChange('team/app', 'v1', 'one')]))
    clock.ms += 1000
    await node.ledger.publish([manifestChange('team/app', 'one')])
    await node.ledger.publish([manifestDeletion('team/app', 'one')])
    clock.ms += 31 * day
    await node.ledger.sweep()
    await node.ledger.apply(tag)
    for (const { ledger } of [node, away]) {
      expect(await total(ledger)).toBe(1)
      expect(await ledger.findTag(app, v1)).toBeUndefined()
      expect(await ledger.listTags(app, { limit: 10 })).toEqual([])
    }
  })

  it('is handed on for 30 days, and remembered after that', async () => {
    const clock = new ManualClock()
    await using node = await testLedger({ clock })
    const { ledger } = node
    const records = await recordsOf(ledger, () => ledger.publish([tagChange('team/app', 'v1', 'one')]))
    await ledger.publish([tagChange('team/app', 'v1', undefined)])
    clock.ms += 29 * day
    await ledger.sweep()
    expect(await total(ledger)).toBe(1)
    clock.ms += 2 * day
    await ledger.sweep()
    expect(await total(ledger)).toBe(0)
    await node.reopen()
    expect(await node.ledger.apply(records)).toMatchObject({ applied: 0, known: 1 })
    expect(await node.ledger.findTag(app, v1)).toBeUndefined()
  })

  it('reaches a node that comes back after a long absence, by whatever way', async () => {
    const clock = new ManualClock()
    await using node = await testLedger({ clock })
    await using away = await testLedger({ clock, identity: bob })
    await using fresh = await testLedger({ clock, identity: bob })
    const records = await recordsOf(node.ledger, () =>
      node.ledger.publish([tagChange('team/app', 'v1', 'one'), manifestChange('team/app', 'one')]),
    )
    await away.ledger.apply(records)
    await node.ledger.publish([tagChange('team/app', 'v1', undefined)])
    clock.ms += 100 * day
    await node.ledger.sweep()
    // The tag spreads to a node that has never heard of its deletion, and is deleted there as well.
    await meet(away.ledger, fresh.ledger)
    expect(await fresh.ledger.findTag(app, v1)).toBeDefined()
    for (const { ledger } of [fresh, away]) await meet(ledger, node.ledger)
    for (const { ledger } of [fresh, away]) await meet(ledger, node.ledger)
    for (const { ledger } of [node, away, fresh]) {
      await ledger.sweep()
      expect(await ledger.findTag(app, v1)).toBeUndefined()
      // The manifest stands, too.
      expect(await total(ledger)).toBe(2)
    }
    clock.ms += 2 * day
    for (const { ledger } of [node, away, fresh]) {
      await ledger.sweep()
      expect(await total(ledger)).toBe(1)
    }
  })

  it('does not come back to a node that has forgotten it', async () => {
    const clock = new ManualClock()
    await using node = await testLedger({ clock })
    await using late = await testLedger({ clock, identity: bob })
    for (const content of ['one', undefined])
      await node.ledger.publish([tagChange('team/app', 'v1', content)])
    await meet(node.ledger, late.ledger)
    clock.ms += 31 * day
    await node.ledger.sweep()
    await meet(node.ledger, late.ledger)
    expect(await total(node.ledger)).toBe(0)
    await late.ledger.sweep()
    expect(await total(late.ledger)).toBe(0)
  })

  it('gives way to a later publication', async () => {
    const clock = new ManualClock()
    await using node = await testLedger({ clock })
    await node.ledger.publish([tagChange('team/app', 'v1', 'one')])
    await node.ledger.publish([tagChange('team/app', 'v1', undefined)])
    clock.ms += 31 * day
    await node.ledger.sweep()
    await using other = await testLedger({ clock, identity: bob })
    const records = await recordsOf(other.ledger, () =>
      other.ledger.publish([tagChange('team/app', 'v1', 'new')]),
    )
    expect(await node.ledger.apply(records)).toMatchObject({ applied: 1 })
    expect((await node.ledger.findTag(app, v1))?.digest).toBe(digestOf('new'))
  })

  it('is forgotten after 400 days', async () => {
    const clock = new ManualClock()
    await using node = await testLedger({ clock, identity: alice })
    const records = await recordsOf(node.ledger, () =>
      node.ledger.publish([tagChange('team/app', 'v1', 'one')]),
    )
    await node.ledger.publish([tagChange('team/app', 'v1', undefined)])
    clock.ms += 31 * day
    await node.ledger.sweep()
    clock.ms += 370 * day
    await node.ledger.sweep()
    expect(await node.ledger.apply(records)).toMatchObject({ applied: 1 })
  })
})
