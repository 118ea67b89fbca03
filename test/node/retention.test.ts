/** Retention rules: which tags go, who deletes them, and when nobody does. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { FindPulls } from '../../node/pull-inquiry.ts'
import {
  areTooManyMissing,
  type ClusterSeen,
  deleteExpired,
  findExpired,
  openRetainer,
  Settling,
} from '../../node/retention.ts'
import { silentLogger } from '../../src/base/base.ts'
import { digestBytes, parseRepository, parseTag } from '../../src/oci/oci.ts'
import type { Policy, RetentionRule } from '../../src/records/records.ts'
import { expiredTags, type WrittenTag } from '../../src/registry/registry.ts'
import { peerIdOf } from '../../src/wire/wire.ts'
import { alice, authority, bob, ManualClock, type TestLedger, testLedger } from '../records/fixture.ts'

const dayMs = 24 * 3_600_000
const ci = parseRepository('ci/app')
const { signal } = new AbortController()
const tagOf = (name: string) => parseTag(name)
const audit = { write: () => undefined, [Symbol.asyncDispose]: async () => undefined }

describe('a retention rule', () => {
  const tags: WrittenTag[] = ['a', 'b', 'c', 'v1'].map((name, index) => ({
    tag: tagOf(name),
    writtenMs: index * dayMs,
  }))
  const expired = (rule: object): string[] =>
    expiredTags({ isMatching: () => false, ...rule }, tags, 4 * dayMs).map(({ tag }) => tag)

  it('keeps so many, the newest', () => {
    expect(expired({ keepTags: 2 })).toEqual(['a', 'b'])
    expect(expired({ keepTags: 4 })).toEqual([])
    // Written by a clock that is ahead of this one's.
    expect(expiredTags({ keepTags: 2, isMatching: () => false }, tags, 0).length).toBe(2)
  })

  it('keeps what was written lately, and what matches, beside the newest', () => {
    expect(expired({ keepWithinMs: 2.5 * dayMs })).toEqual(['a', 'b'])
    expect(expired({ keepTags: 1, isMatching: (tag: string) => tag === 'a' })).toEqual(['b', 'c'])
  })

  it('lets no tag go for want of others that are not known yet', () => {
    const written = fc.record({
      tag: fc.integer({ min: 0, max: 40 }).map((n) => tagOf(`t${n}`)),
      writtenMs: fc.integer({ min: 0, max: 20 }),
    })
    const all = fc.uniqueArray(written, { selector: ({ tag }) => tag })
    const rule = fc.record({ keepTags: fc.nat(10), keepWithinMs: fc.nat(20) })
    fc.assert(
      fc.property(
        all,
        rule,
        fc.func(fc.boolean()),
        fc.infiniteStream(fc.boolean()),
        (tags, numbers, isMatching, known) => {
          const part = tags.filter(() => known.next().value)
          const names = (some: WrittenTag[]) =>
            expiredTags({ ...numbers, isMatching }, some, 20).map(({ tag }) => tag)
          expect(names(tags)).toEqual(expect.arrayContaining(names(part)))
        },
      ),
    )
  })
})

describe('deleting what no rule keeps', () => {
  let clock: ManualClock
  let here: TestLedger
  let there: TestLedger
  const opened = (identity = alice) => ({ identity, authorityIdentity: authority, clock })

  beforeEach(async () => {
    clock = new ManualClock()
    here = await testLedger(opened())
    there = await testLedger(opened(bob))
  })
  afterEach(async () => {
    await here[Symbol.asyncDispose]()
    await there[Symbol.asyncDispose]()
  })

  async function push({ ledger }: TestLedger, tag: string, { checkedMs }: { checkedMs?: number } = {}) {
    clock.ms += dayMs
    const digest = digestBytes(Buffer.from(`${tag} ${clock.ms}`))
    const value = { mediaType: 'application/vnd.oci.image.manifest.v1+json', size: 1 }
    const checked = checkedMs === undefined ? {} : { checkedMs }
    await ledger.publish([
      { kind: 'manifest', repository: ci, digest, value },
      { kind: 'tag', repository: ci, tag: tagOf(tag), value: { ...value, digest, ...checked } },
    ])
  }
  /** All that one has goes to the other. */
  async function tell(from: TestLedger, to: TestLedger): Promise<void> {
    const told = ['a', 'b', 'c', 'v1'].flatMap(
      (tag) => from.ledger.findRecord({ kind: 'tag', repository: ci, tag: tagOf(tag) }) ?? [],
    )
    const manifests = (await from.ledger.listManifests(ci, { limit: 100 })).flatMap(
      ({ digest }) => from.ledger.findRecord({ kind: 'manifest', repository: ci, digest }) ?? [],
    )
    await to.ledger.apply([...manifests, ...told])
  }
  const setRules = (retention: RetentionRule[], more: Partial<Policy> = {}) =>
    here.ledger.setPolicy({ ...here.ledger.policy(), ...more, retention })
  const listed = ({ ledger }: TestLedger) => ledger.listTags(ci, { limit: 100 })
  const node = () => ({ names: here.ledger, audit })
  const look = async (findPulls?: FindPulls) =>
    await findExpired(node(), { nowMs: clock.ms, ...(findPulls === undefined ? {} : { findPulls }), signal })
  const find = async () => (await look()).expired
  const run = async () => await deleteExpired(node(), await find(), { signal })

  it('goes by the first rule that matches, and tells before', async () => {
    for (const tag of ['a', 'b', 'c', 'v1']) await push(here, tag)
    await setRules([
      { repositories: 'ci/*', keepTags: 2, keepMatching: ['a*'] },
      { repositories: '**', keepTags: 1 },
    ])
    expect((await find()).map(({ tag, rule }) => [tag, rule])).toEqual([['b', 'ci/*']])
    expect(await listed(here)).toEqual(['a', 'b', 'c', 'v1'])
    await run()
    expect(await listed(here)).toEqual(['a', 'c', 'v1'])
    expect(await run()).toEqual([])
  })

  describe('that was pulled', () => {
    const rule = { repositories: 'ci/*', keepMatching: ['v*'], keepPulledWithin: '30d' }

    beforeEach(async () => {
      for (const tag of ['a', 'b', 'c', 'v1']) await push(here, tag)
      clock.ms += 27 * dayMs
      await setRules([rule])
    })

    it('keeps what members pulled, asks of nothing else, and tells why', async () => {
      const { digest } = (await here.ledger.findTag(ci, tagOf('a'))) ?? {}
      const asked: unknown[] = []
      const found = await look(async (images, withinMs) => {
        asked.push(images, withinMs)
        return images.map((image) => (image.digest === digest ? 'pulled at host-b within 30d' : undefined))
      })
      // What was written within the time stays as well: nobody could pull it before.
      expect(asked).toEqual([[{ repository: ci, digest }], 30 * dayMs])
      expect(found).toMatchObject({
        expired: [],
        kept: [{ repository: ci, tag: 'a', rule: 'ci/*', why: 'pulled at host-b within 30d' }],
      })
      clock.ms += dayMs
      const later = await look(async (images) => images.map((_, at) => (at === 0 ? undefined : 'pulled')))
      expect(later.expired).toMatchObject([
        { tag: 'a', why: 'it matches none of v*, and was neither written nor pulled within 30d' },
      ])
      expect(later.kept).toMatchObject([{ tag: 'b', why: 'pulled' }])
      await deleteExpired(node(), later.expired, { signal })
      expect(await listed(here)).toEqual(['b', 'c', 'v1'])
    })

    it('asks once about all repositories, and once more for another time', async () => {
      const names = ['ci/one', 'ci/two', 'nightly/one', 'nightly/two'].map((name) => parseRepository(name))
      const { digest } = (await here.ledger.findTag(ci, tagOf('a'))) ?? {}
      if (digest === undefined) throw new Error('it was pushed')
      const value = { mediaType: 'application/vnd.oci.image.manifest.v1+json', size: 1 }
      for (const repository of names)
        await here.ledger.publish([
          { kind: 'manifest', repository, digest, value },
          { kind: 'tag', repository, tag: tagOf('a'), value: { ...value, digest } },
        ])
      clock.ms += 60 * dayMs
      await setRules([rule, { repositories: '**', keepPulledWithin: '40d' }])
      const asked: [number, string[]][] = []
      const { expired, kept } = await look(async (images, withinMs) => {
        asked.push([withinMs / dayMs, [...new Set(images.map(({ repository }) => `${repository}`))]])
        return images.map(({ repository }) => (repository.endsWith('/two') ? 'pulled' : undefined))
      })
      expect(asked).toEqual([
        [30, [`${ci}`, 'ci/one', 'ci/two'].sort()],
        [40, ['nightly/one', 'nightly/two']],
      ])
      expect(new Set(kept.map(({ repository }) => `${repository}`))).toEqual(
        new Set(['ci/two', 'nightly/two']),
      )
      expect(expired.map(({ repository }) => repository)).not.toContain('nightly/two')
      expect(expired.length).toBe(5)
    })

    it('deletes nothing while nobody can be asked', async () => {
      clock.ms += 300 * dayMs
      const { expired, kept } = await look()
      expect(expired).toEqual([])
      expect(kept.map(({ tag, why }) => [tag, why])).toEqual(
        ['a', 'b', 'c'].map((tag) => [tag, 'no node runs here that could ask who pulled it']),
      )
    })
  })

  it('says of each that goes what would have kept it', async () => {
    for (const tag of ['a', 'b', 'c']) await push(here, tag)
    const why = async (rule: Omit<RetentionRule, 'repositories'>) => {
      await setRules([{ repositories: '**', ...rule }])
      return (await look(async (images) => images.map(() => undefined))).expired[0]?.why
    }
    expect(await why({ keepTags: 1 })).toBe('it is not the newest')
    expect(await why({ keepTags: 2, keepWithin: '1h' })).toBe(
      'it is not among the 2 newest, and was not written within 1h',
    )
    expect(await why({ keepWithin: '2h', keepPulledWithin: '1h' })).toBe(
      'it was not written within 2h, and was neither written nor pulled within 1h',
    )
  })

  it('leaves immutable tags alone, and what an upstream told', async () => {
    for (const tag of ['a', 'v1', 'b']) await push(here, tag)
    await push(here, 'c', { checkedMs: clock.ms })
    await setRules([{ repositories: '**', keepMatching: ['none'] }], {
      immutable: [{ repositories: '**', tags: 'v*' }],
    })
    await here.reopen({ identity: alice })
    await run()
    expect(await listed(here)).toEqual(['c', 'v1'])
  })

  it('holds everywhere, also of tags older than deletions are remembered', async () => {
    await push(here, 'a')
    await push(here, 'b')
    await tell(here, there)
    clock.ms += 60 * dayMs
    await setRules([{ repositories: '**', keepTags: 1 }])
    await run()
    await tell(here, there)
    expect(await listed(there)).toEqual(['b'])
    await tell(there, here)
    expect(await listed(here)).toEqual(['b'])
  })

  it('takes no tag with it that was pushed anew where this node has not heard of it', async () => {
    await push(here, 'a')
    await push(here, 'b')
    await tell(here, there)
    await push(there, 'a')
    await setRules([{ repositories: '**', keepTags: 1 }])
    await run()
    expect(await listed(here)).toEqual(['b'])
    await tell(here, there)
    await tell(there, here)
    expect(await listed(there)).toEqual(['a', 'b'])
    expect(await listed(here)).toEqual(['a', 'b'])
  })

  it('passes by a tag that is pushed anew after it was found', async () => {
    await push(here, 'a')
    await push(here, 'b')
    await setRules([{ repositories: '**', keepTags: 1 }])
    const found = await find()
    await push(here, 'a')
    expect(await deleteExpired(node(), found, { signal })).toEqual([])
    expect(await listed(here)).toEqual(['a', 'b'])
  })

  describe('by themselves', () => {
    const peers = [alice, bob].map(({ publicKey }) => peerIdOf(publicKey))
    let looks: ClusterSeen[]

    /** Rounds a minute apart, one for each look. */
    async function rounds(self: string, seen: ClusterSeen[]): Promise<void> {
      looks = [...seen]
      const over = Promise.withResolvers<void>()
      const minutes = {
        now: () => clock.ms,
        async sleep(_ms: number, { signal }: { signal?: AbortSignal } = {}) {
          clock.ms += 60_000
          if (looks.length > 0) return
          over.resolve()
          await clock.sleep(0, signal === undefined ? {} : { signal })
        },
      }
      const settings = { 'gc-interval': 60_000 } as never
      await using _retainer = openRetainer({
        node: { ...node(), settings },
        self,
        look: async () => looks.shift() ?? { connected: [], missing: 0 },
        clock: minutes,
        logger: silentLogger,
      })
      await over.promise
    }
    const alone = Array.from({ length: 12 }, () => ({ connected: [], missing: 0 }))

    beforeEach(async () => {
      for (const tag of ['a', 'b']) await push(here, tag)
      await setRules([{ repositories: '**', keepTags: 1 }])
    })

    it('delete nothing before most of the cluster has been there for ten minutes', async () => {
      const [self = ''] = peers
      await rounds(self, alone.slice(0, 9))
      expect(await listed(here)).toEqual(['a', 'b'])
      await rounds(self, alone)
      expect(await listed(here)).toEqual(['b'])
    })

    it('delete nothing just after a cut, or while more than a third is away', async () => {
      const [self = '', other = ''] = peers
      const cut = { connected: [other], missing: 2 }
      await rounds(
        self,
        Array.from({ length: 30 }, () => cut),
      )
      await rounds(self, [...alone.slice(0, 9), cut, ...alone.slice(0, 9)])
      expect(await listed(here)).toEqual(['a', 'b'])
    })

    it('leave each repository to one of those that may publish there', async () => {
      const deletedBy = async (self: string, connected: string[]): Promise<boolean> => {
        await rounds(
          self,
          Array.from({ length: 12 }, () => ({ connected, missing: 0 })),
        )
        return (await listed(here)).length === 1
      }
      const [one = '', two = ''] = peers
      const byOne = await deletedBy(one, [two])
      if (byOne) await push(here, 'a')
      expect(await deletedBy(two, [one])).toBe(!byOne)
    })
  })
})

it('is settled where at most a third is missing, and has been for ten minutes', () => {
  const seen = (connected: number, missing: number): ClusterSeen => ({
    connected: Array.from({ length: connected }, String),
    missing,
  })
  expect(areTooManyMissing(seen(0, 0))).toBe(false)
  expect(areTooManyMissing(seen(0, 1))).toBe(true)
  expect(areTooManyMissing(seen(1, 1))).toBe(false)
  expect(areTooManyMissing(seen(4, 3))).toBe(true)
  const clock = new ManualClock()
  const settling = new Settling(clock)
  clock.ms += 600_000 - 1
  expect(settling.isSettled).toBe(false)
  clock.ms += 1
  expect(settling.isSettled).toBe(true)
  settling.see(seen(0, 1))
  expect(settling.isSettled).toBe(false)
})
