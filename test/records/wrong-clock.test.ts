/** A node whose clock was wrong, among two that are right. */
import { describe, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { decodeRecord } from '../../src/records/record.ts'
import { answerReconciliation, MembersTime, type Policy, reconcile } from '../../src/records/records.ts'
import { channelPair } from '../../src/wire/wire.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import {
  alice,
  authority,
  bob,
  digestOf,
  ManualClock,
  manifestChange,
  recordsOf,
  type TestLedger,
  tagChange,
  testLedger,
} from './fixture.ts'

const app = parseRepository('team/app')
const v1 = parseTag('v1')
const minute = 60_000
const year = 365 * 24 * 60 * minute
const immutable: Policy = {
  rules: [],
  immutable: [{ repositories: '**', tags: 'v*' }],
  sealers: [bob.peerId],
  banned: [],
}

interface Place extends AsyncDisposable {
  /** Right. */
  near: TestLedger
  /** With a clock that is set. */
  far: TestLedger
  steady: SteppedClock
  /** How far the second one's clock is ahead. */
  set(aheadMs: number): void
  /** The second hears of the time, as it does when it meets others. */
  hear(): void
  meet(): Promise<{ refused: number; applied: number }>
}

async function openPlace(): Promise<Place> {
  const steady = new SteppedClock()
  const right = new ManualClock(steady.now())
  let aheadMs = 0
  const wall = { now: () => steady.now() + aheadMs, sleep: steady.sleep.bind(steady) }
  const time = new MembersTime(wall, steady)
  time.trust({ isConnected: () => true, isNamed: () => false })
  const near = await testLedger({ clock: right, identity: alice, authorityIdentity: authority })
  const far = await testLedger({ clock: wall, steady, time, identity: bob })
  const hear = (): void => {
    for (const peer of ['one', 'two']) time.hear(peer, right.now() - wall.now())
  }
  return {
    near,
    far,
    steady,
    set(ms) {
      aheadMs = ms
    },
    hear,
    async meet() {
      const { a, b } = channelPair()
      const [report] = await Promise.all([
        reconcile(a, near.ledger, { clock: right }),
        answerReconciliation(b, far.ledger, { clock: wall, onClock: hear }),
      ])
      return report
    },
    async [Symbol.asyncDispose]() {
      await near[Symbol.asyncDispose]()
      await far[Symbol.asyncDispose]()
    },
  }
}

const digestAt = async ({ ledger }: TestLedger): Promise<string | undefined> =>
  (await ledger.findTag(app, v1))?.digest

describe('a node whose clock is far from the members', () => {
  it.each([10 * minute, -10 * minute])(
    'signs nothing, says why, and goes on once the clock is set: %i',
    async (aheadMs) => {
      await using place = await openPlace()
      place.hear()
      place.set(aheadMs)
      await expect(place.far.ledger.publish([tagChange('team/app', 'v1', 'one')])).rejects.toMatchObject({
        code: 'CLOCK_WRONG',
        message: expect.stringContaining(`clock is 600 s ${aheadMs > 0 ? 'ahead of' : 'behind'}`),
      })
      expect(await digestAt(place.far)).toBeUndefined()
      place.set(0)
      const signed = await recordsOf(place.far.ledger, () =>
        place.far.ledger.publish([tagChange('team/app', 'v1', 'one')]),
      )
      expect(await place.near.ledger.apply(signed)).toMatchObject({ applied: 1 })
    },
  )

  it('sets no policy', async () => {
    await using place = await openPlace()
    const time = new MembersTime(new ManualClock(), new ManualClock())
    time.trust({ isConnected: () => true, isNamed: () => true })
    time.hear('one', 10 * minute)
    await place.near.reopen({ time })
    await expect(place.near.ledger.setPolicy(immutable)).rejects.toMatchObject({ code: 'CLOCK_WRONG' })
    expect(place.near.ledger.policy().sealers).toEqual([])
  })
})

describe('what was signed while the clock was years ahead and nobody was there', () => {
  it('is held against nobody who hands it on', async () => {
    await using place = await openPlace()
    place.set(year)
    await place.far.ledger.publish([tagChange('team/app', 'v1', 'one'), manifestChange('team/app', 'one')])
    for (const aheadMs of [year, 0]) {
      place.set(aheadMs)
      // Whoever is blamed has the conversation end with PEER_MISBEHAVED.
      expect(await place.meet()).toMatchObject({ applied: 0, refused: 2 })
    }
  })

  it('is signed anew with the time of now once members agree with the clock', async () => {
    await using place = await openPlace()
    const before = await recordsOf(place.near.ledger, () =>
      place.near.ledger.publish([tagChange('team/app', 'v1', 'before')]),
    )
    await place.far.ledger.apply(before)
    place.set(year)
    await place.far.ledger.publish([tagChange('team/app', 'v1', 'one')])
    await place.far.ledger.publish([tagChange('team/app', 'gone', undefined)])
    // What a member signed under the same wrong clock is that member's to sign again.
    await using other = await testLedger({ clock: new ManualClock(place.steady.now() + year) })
    const strays = await recordsOf(other.ledger, () =>
      other.ledger.publish([tagChange('team/app', 'stray', 'one')]),
    )
    expect(await place.far.ledger.apply(strays)).toMatchObject({ applied: 1 })
    place.steady.advance(1000)
    place.set(0)
    place.hear()
    await place.far.ledger.sweep()
    expect(await place.meet()).toMatchObject({ applied: 2, refused: 0 })
    expect(await digestAt(place.near)).toBe(digestOf('one'))
    expect(await place.far.ledger.findTag(app, parseTag('stray'))).toBeUndefined()
    expect(await place.meet()).toMatchObject({ applied: 0, refused: 0 })
  })

  it('is signed anew by itself, soon after a member was heard', async () => {
    await using place = await openPlace()
    place.set(year)
    await place.far.ledger.publish([tagChange('team/app', 'v1', 'one')])
    place.set(0)
    const { promise: anew, resolve } = Promise.withResolvers<Uint8Array[]>()
    place.far.ledger.onRecords((records) => resolve(records))
    place.hear()
    await place.steady.untilAsleep(1000)
    place.steady.advance(1000)
    const [record = new Uint8Array()] = await anew
    expect(decodeRecord(record).body.time[0]).toBe(place.steady.now())
  })

  it('is not put later still by a push of the same tag', async () => {
    await using place = await openPlace()
    place.set(year)
    await place.far.ledger.publish([tagChange('team/app', 'v1', 'one')])
    place.set(0)
    place.hear()
    const [pushed = new Uint8Array()] = await recordsOf(place.far.ledger, () =>
      place.far.ledger.publish([tagChange('team/app', 'v1', 'two')]),
    )
    expect(decodeRecord(pushed).body.time[0]).toBe(place.steady.now())
    expect(await place.near.ledger.apply([pushed])).toMatchObject({ applied: 1 })
  })

  it('stays as it is while nobody says that the clock is right, or most say that it is not', async () => {
    await using place = await openPlace()
    place.set(year)
    await place.far.ledger.publish([tagChange('team/app', 'v1', 'one')])
    place.set(0)
    await place.far.ledger.sweep()
    // As a host does that has no clock of its own, and starts in 1970.
    place.set(-year)
    place.hear()
    await place.far.ledger.sweep()
    const record = place.far.ledger.findRecord({ kind: 'tag', repository: app, tag: v1 }) ?? new Uint8Array()
    expect(decodeRecord(record).body.time[0]).toBe(place.steady.now() + year)
  })
})
