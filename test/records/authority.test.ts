import { describe, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { decodeRecord, type RecordBody, sealRecord, signRecord } from '../../src/records/record.ts'
import type { Change, Ledger, Policy } from '../../src/records/records.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import {
  alice,
  authority,
  bob,
  digestOf,
  identity,
  ManualClock,
  manifestChange,
  mediaType,
  recordsOf,
  type TestLedger,
  tagChange,
  testLedger,
} from './fixture.ts'

const app = parseRepository('team/app')
const v1 = parseTag('v1')
const open: Policy = { rules: [], immutable: [], sealers: [], banned: [] }
const hour = 60 * 60_000
const withoutAuthority = { authorityIdentity: undefined }

const digestAt = async (ledger: Ledger, tag = v1): Promise<string | undefined> =>
  (await ledger.findTag(app, tag))?.digest

/** Alice's node, which holds the authority key, and Bob's. */
async function twoNodes(): Promise<
  { one: TestLedger; two: TestLedger; clock: ManualClock } & AsyncDisposable
> {
  const clock = new ManualClock()
  const one = await testLedger({ clock, identity: alice, authorityIdentity: authority })
  const two = await testLedger({ clock, identity: bob })
  return {
    one,
    two,
    clock,
    async [Symbol.asyncDispose]() {
      await one[Symbol.asyncDispose]()
      await two[Symbol.asyncDispose]()
    },
  }
}

describe('a policy', () => {
  it('keeps a node from publishing, naming the rule', async () => {
    await using nodes = await twoNodes()
    const { one, two } = nodes
    const rules = [{ repositories: 'team/**', authors: [alice.peerId] }]
    const signed = await recordsOf(one.ledger, () => one.ledger.setPolicy({ ...open, rules }))
    await two.ledger.apply(signed)
    await expect(two.ledger.publish([tagChange('team/app', 'v1', 'one')])).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
      rule: expect.stringContaining('rule 1 of the policy'),
    })
    await two.ledger.publish([tagChange('other/app', 'v1', 'one')])
    await one.ledger.publish([tagChange('team/app', 'v1', 'one')])
    expect(two.ledger.policy()).toEqual({ ...open, rules })
    await two.reopen()
    expect(two.ledger.policy()).toEqual({ ...open, rules })
  })

  it('is set with the authority key alone', async () => {
    await using node = await testLedger()
    await expect(node.ledger.setPolicy(open)).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
      rule: expect.stringMatching(/started the cluster.*authority import/),
    })
    await expect(node.ledger.publishAsAuthority([])).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  })

  it('is the newest that the authority signed', async () => {
    await using nodes = await twoNodes()
    const { one, two } = nodes
    const first = await recordsOf(one.ledger, () => one.ledger.setPolicy({ ...open, banned: [bob.peerId] }))
    const second = await recordsOf(one.ledger, () => one.ledger.setPolicy(open))
    await two.ledger.apply(second)
    expect(await two.ledger.apply(first)).toMatchObject({ known: 1 })
    expect(two.ledger.isBanned(bob.peerId)).toBe(false)
  })

  it('is told to listeners', async () => {
    await using nodes = await twoNodes()
    const kinds: string[] = []
    nodes.one.ledger.onChange((keys) => kinds.push(...keys.map(({ kind }) => kind)))
    await nodes.one.ledger.setPolicy(open)
    expect(kinds).toEqual(['policy'])
  })
})

describe('a ban', () => {
  it('keeps what was accepted, in the name of its author, and refuses what is new', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const before = await recordsOf(two.ledger, () =>
      two.ledger.publish([tagChange('team/app', 'v1', 'one'), manifestChange('team/app', 'one')]),
    )
    await one.ledger.apply(before)
    const entry = await one.ledger.findTag(app, v1)
    const ban = await recordsOf(one.ledger, () => one.ledger.setPolicy({ ...open, banned: [bob.peerId] }))
    expect(await one.ledger.findTag(app, v1)).toEqual(entry)
    expect(entry?.author).toBe(bob.peerId)
    const after = await recordsOf(two.ledger, () => two.ledger.publish([tagChange('team/app', 'v1', 'two')]))
    expect(await one.ledger.apply(after)).toMatchObject({ refused: { policy: 1 }, blame: undefined })
    // Another node takes the authority's copies, and never the banned author's records.
    await using third = await testLedger({ clock })
    await third.ledger.apply([...ban, ...before, ...after])
    expect(await third.ledger.findTag(app, v1)).toEqual(entry)
    expect(third.ledger.isBanned(bob.peerId)).toBe(true)
    await expect(two.ledger.apply(ban)).resolves.toMatchObject({ blame: undefined })
    await expect(two.ledger.publish([tagChange('team/app', 'v2', 'x')])).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
    })
  })

  it('drops what never reached the authority an hour after it became known', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    await two.ledger.publish([tagChange('team/app', 'v1', 'unseen')])
    const ban = await recordsOf(one.ledger, () => one.ledger.setPolicy({ ...open, banned: [bob.peerId] }))
    await two.ledger.apply(ban)
    await two.ledger.sweep()
    expect(await digestAt(two.ledger)).toBe(digestOf('unseen'))
    clock.ms += hour
    const gone: unknown[] = []
    two.ledger.onChange((keys) => gone.push(...keys))
    await two.ledger.sweep()
    expect(await digestAt(two.ledger)).toBeUndefined()
    expect(gone).toEqual([{ kind: 'tag', repository: app, tag: v1, deleted: true }])
  })

  it('drops it as well where it became known in a run whose clock was years ahead', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    await two.ledger.publish([tagChange('team/app', 'v1', 'unseen')])
    await two.reopen({ steady: new ManualClock(clock.ms + 10_000 * hour) })
    await two.ledger.apply(
      await recordsOf(one.ledger, () => one.ledger.setPolicy({ ...open, banned: [bob.peerId] })),
    )
    await two.reopen({ steady: clock })
    await two.ledger.sweep()
    expect(await digestAt(two.ledger)).toBe(digestOf('unseen'))
    clock.ms += hour
    await two.ledger.sweep()
    expect(await digestAt(two.ledger)).toBeUndefined()
  })
})

describe('a ban that drops', () => {
  const drop = {
    author: bob.peerId,
    keeps: (_: string, digest: string) => digest === digestOf('relied upon'),
  }
  const changes = [
    tagChange('team/app', 'v1', 'one'),
    manifestChange('team/app', 'one'),
    manifestChange('team/app', 'relied upon'),
  ]
  const manifests = async (ledger: Ledger): Promise<string[]> =>
    (await ledger.listManifests(app, { limit: 10 })).map(({ digest }) => digest)

  it('takes away everywhere what the author had written, but for what is kept', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    await one.ledger.apply(await recordsOf(two.ledger, () => two.ledger.publish(changes)))
    await using third = await testLedger({ clock, identity: identity(5) })
    const before = await recordsOf(two.ledger, () => two.ledger.publish([tagChange('team/app', 'v2', 'one')]))
    await third.ledger.apply(before)
    const policy = { ...open, banned: [bob.peerId] }
    const ban = await recordsOf(one.ledger, () => one.ledger.setPolicy(policy, { drop }))
    await third.ledger.apply(ban)
    await two.ledger.apply(ban)
    clock.ms += hour
    for (const { ledger } of [one, two, third]) {
      await ledger.sweep()
      expect(await digestAt(ledger)).toBeUndefined()
      expect(await digestAt(ledger, parseTag('v2'))).toBeUndefined()
      expect(await manifests(ledger)).toEqual([digestOf('relied upon')])
    }
  })

  it('also takes away what an earlier ban had kept', async () => {
    await using nodes = await twoNodes()
    const { one, two } = nodes
    await one.ledger.apply(await recordsOf(two.ledger, () => two.ledger.publish(changes)))
    const policy = { ...open, banned: [bob.peerId] }
    const first = await recordsOf(one.ledger, () => one.ledger.setPolicy(policy))
    const second = await recordsOf(one.ledger, () => one.ledger.setPolicy(policy, { drop }))
    await two.ledger.apply([...first, ...second])
    for (const { ledger } of [one, two]) {
      expect(await digestAt(ledger)).toBeUndefined()
      expect(await manifests(ledger)).toEqual([digestOf('relied upon')])
    }
  })
})

describe('an immutable tag', () => {
  const immutable: Policy = { ...open, immutable: [{ repositories: 'team/**', tags: 'v*' }] }

  it('is published once, and again only as what it is', async () => {
    await using nodes = await twoNodes()
    const { one, two } = nodes
    await two.ledger.apply(await recordsOf(one.ledger, () => one.ledger.setPolicy(immutable)))
    const { ledger } = two
    await ledger.publish([tagChange('team/app', 'v1', 'one')])
    expect(await recordsOf(ledger, () => ledger.publish([tagChange('team/app', 'v1', 'one')]))).toEqual([])
    for (const content of ['two', undefined]) {
      await expect(ledger.publish([tagChange('team/app', 'v1', content)])).rejects.toMatchObject({
        code: 'NOT_PERMITTED',
        rule: expect.stringContaining('immutable'),
      })
    }
    await ledger.publish([tagChange('team/app', 'latest', 'one')])
    await ledger.publish([tagChange('team/app', 'latest', 'two')])
  })

  it("is sealed by the authority's node, so that a backdated record does not move it", async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    await one.ledger.publish([tagChange('team/app', 'v0', 'old')])
    const policy = await recordsOf(one.ledger, () => one.ledger.setPolicy(immutable))
    await two.ledger.apply(policy)
    expect(await digestAt(two.ledger, parseTag('v0'))).toBe(digestOf('old'))
    const published = await recordsOf(two.ledger, () =>
      two.ledger.publish([tagChange('team/app', 'v1', 'one')]),
    )
    const seals = await recordsOf(one.ledger, () => one.ledger.apply(published))
    expect(seals).toHaveLength(1)
    expect(await two.ledger.apply(seals)).toMatchObject({ applied: 1 })
    const backdated = new ManualClock(clock.ms - 50_000)
    await using other = await testLedger({ clock: backdated, identity: bob })
    const forged = await recordsOf(other.ledger, () =>
      other.ledger.publish([tagChange('team/app', 'v1', 'evil'), tagChange('team/app', 'v0', 'evil')]),
    )
    for (const { ledger } of [one, two]) {
      expect(await ledger.apply(forged)).toMatchObject({ applied: 0, known: 2 })
      expect(await digestAt(ledger)).toBe(digestOf('one'))
    }
    expect((await two.ledger.findTag(app, v1))?.author).toBe(bob.peerId)
  })

  it('does not lose its manifest to a member, by whom it was pushed or by another', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const { ledger } = two
    const deletion = { ...manifestChange('team/app', 'one'), value: undefined } as Change
    const policy = await recordsOf(one.ledger, () => one.ledger.setPolicy(immutable))
    const pushed = await recordsOf(one.ledger, () =>
      one.ledger.publish([manifestChange('team/app', 'one'), tagChange('team/app', 'v1', 'one')]),
    )
    await ledger.apply(pushed)
    // One that has not heard of the policy yet deletes it, and one that has cannot.
    const unaware = await recordsOf(ledger, () => ledger.publish([deletion]))
    expect(await one.ledger.apply(unaware)).toMatchObject({ refused: { policy: 1 }, blame: undefined })
    await ledger.apply(policy)
    clock.ms += 2 * hour
    await ledger.sweep()
    await ledger.apply(pushed)
    await expect(ledger.publish([deletion])).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
      rule: expect.stringContaining('tags "v*" of "team/**" are immutable'),
    })
    for (const node of [one, two]) {
      expect(await digestAt(node.ledger)).toBe(digestOf('one'))
      expect(await node.ledger.findManifest(app, digestOf('one'))).toBeDefined()
    }
    await one.ledger.publishAsAuthority([deletion])
    expect(await one.ledger.findManifest(app, digestOf('one'))).toBeUndefined()
  })

  it('is moved and deleted by the authority', async () => {
    await using nodes = await twoNodes()
    const { one, two } = nodes
    const records = await recordsOf(one.ledger, async () => {
      await one.ledger.setPolicy(immutable)
      await one.ledger.publish([tagChange('team/app', 'v1', 'one')])
      await one.ledger.publishAsAuthority([tagChange('team/app', 'v1', 'two')])
    })
    await two.ledger.apply(records.toReversed())
    expect(await digestAt(two.ledger)).toBe(digestOf('two'))
    const deletion = await recordsOf(one.ledger, () =>
      one.ledger.publishAsAuthority([tagChange('team/app', 'v1', undefined)]),
    )
    await two.ledger.apply(deletion)
    expect(await digestAt(two.ledger)).toBeUndefined()
    await expect(two.ledger.publish([tagChange('team/app', 'v1', 'three')])).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
    })
  })

  it('of two pushes at once is the earlier', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const policy = await recordsOf(one.ledger, () => one.ledger.setPolicy(immutable))
    await using third = await testLedger({ clock, identity: alice })
    for (const { ledger } of [two, third]) await ledger.apply(policy)
    clock.ms += 10
    const early = await recordsOf(two.ledger, () =>
      two.ledger.publish([tagChange('team/app', 'v1', 'early')]),
    )
    clock.ms += 10
    const late = await recordsOf(third.ledger, () =>
      third.ledger.publish([tagChange('team/app', 'v1', 'late')]),
    )
    await two.ledger.apply(late)
    await third.ledger.apply(early)
    for (const { ledger } of [two, third]) expect(await digestAt(ledger)).toBe(digestOf('early'))
  })

  it('stays where it is once the authority key is gone, while a sealer is there', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const policy = await recordsOf(one.ledger, () =>
      one.ledger.setPolicy({ ...immutable, sealers: [alice.peerId] }),
    )
    await one.reopen(withoutAuthority)
    await two.ledger.apply(policy)
    clock.ms += 10
    const pushed = await recordsOf(two.ledger, () => two.ledger.publish([tagChange('team/app', 'v1', 'one')]))
    const seals = await recordsOf(one.ledger, () => one.ledger.apply(pushed))
    expect(seals).toHaveLength(1)
    expect(await two.ledger.apply(seals)).toMatchObject({ applied: 1 })
    const entry = await two.ledger.findTag(app, v1)
    expect(entry).toMatchObject({ digest: digestOf('one'), author: bob.peerId, writtenMs: clock.ms })
    await using other = await testLedger({ clock: new ManualClock(clock.ms - 1), identity: bob })
    const forged = await recordsOf(other.ledger, () =>
      other.ledger.publish([tagChange('team/app', 'v1', 'evil')]),
    )
    for (const { ledger } of [one, two]) {
      expect(await ledger.apply(forged)).toMatchObject({ applied: 0, known: 1 })
      expect(await ledger.findTag(app, v1)).toEqual(entry)
    }
    await one.reopen()
    expect(await one.ledger.findTag(app, v1)).toEqual(entry)
    // Its own pushes a sealer seals as it makes them.
    const [own = new Uint8Array()] = await recordsOf(one.ledger, () =>
      one.ledger.publish([tagChange('team/app', 'v2', 'one')]),
    )
    expect(decodeRecord(own).sealed?.ms).toBe(clock.ms)
  })

  it('is sealed soon after the policy that names the sealer has come', async () => {
    const clock = new SteppedClock()
    await using one = await testLedger({ clock, identity: alice, authorityIdentity: authority })
    await using two = await testLedger({ clock, identity: bob })
    await two.ledger.publish([tagChange('team/app', 'v1', 'one'), tagChange('team/app', 'latest', 'one')])
    const policy = await recordsOf(one.ledger, () =>
      one.ledger.setPolicy({ ...immutable, sealers: [bob.peerId] }),
    )
    const { promise: sealed, resolve } = Promise.withResolvers<Uint8Array[]>()
    two.ledger.onRecords((records, { own }) => {
      if (own) resolve(records)
    })
    await two.ledger.apply(policy)
    await clock.untilAsleep(1000)
    clock.advance(1000)
    const [seal = new Uint8Array(), ...more] = await sealed
    expect(more).toEqual([])
    expect(decodeRecord(seal)).toMatchObject({ key: { kind: 'tag', tag: 'v1' }, sealed: {} })
  })

  it('is not sealed by a member that the policy does not name, nor as what nobody signed', async () => {
    await using nodes = await twoNodes()
    const { one, two } = nodes
    await two.ledger.apply(
      await recordsOf(one.ledger, () => one.ledger.setPolicy({ ...immutable, sealers: [alice.peerId] })),
    )
    const value = { digest: digestOf('evil'), mediaType, size: 4 }
    const body: RecordBody = { kind: 'tag', key: 'team/app:v1', time: [nodes.clock.ms, 0], value }
    const right = signRecord(body, bob)
    const bytes = right.envelope.bytes.slice()
    bytes[40] = (bytes[40] ?? 0) ^ 1
    const wrong = decodeRecord(bytes)
    expect(await two.ledger.apply([sealRecord(right, 1, bob).envelope.bytes])).toMatchObject({
      refused: { policy: 1 },
      blame: undefined,
    })
    expect(await two.ledger.apply([sealRecord(wrong, 1, alice).envelope.bytes])).toMatchObject({
      refused: { signature: 1 },
    })
    expect(await digestAt(two.ledger)).toBeUndefined()
    expect(await two.ledger.apply([sealRecord(right, 1, alice).envelope.bytes])).toMatchObject({ applied: 1 })
    expect(await digestAt(two.ledger)).toBe(digestOf('evil'))
  })

  it('stays as what was sealed when its sealer is no longer one', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const named = await recordsOf(one.ledger, () =>
      one.ledger.setPolicy({ ...immutable, sealers: [bob.peerId] }),
    )
    await two.ledger.apply(named)
    const seals = await recordsOf(two.ledger, () =>
      two.ledger.publish([tagChange('team/app', 'v1', 'one'), tagChange('team/app', 'v2', 'two')]),
    )
    // The authority has seen one of them.
    await one.ledger.apply(seals.slice(0, 1))
    const after = await recordsOf(one.ledger, () => one.ledger.setPolicy({ ...immutable, sealers: [] }))
    expect(after).toHaveLength(2)
    await two.ledger.apply(after)
    clock.ms += hour
    await two.ledger.sweep()
    expect(await digestAt(two.ledger)).toBe(digestOf('one'))
    expect(await digestAt(two.ledger, parseTag('v2'))).toBe(digestOf('two'))
    const record = two.ledger.findRecord({ kind: 'tag', repository: app, tag: parseTag('v2') })
    // What its author signed is taken by the authority's node, and sealed there.
    await one.ledger.apply(record === undefined ? [] : [record])
    expect(await digestAt(one.ledger, parseTag('v2'))).toBe(digestOf('two'))
  })
})
