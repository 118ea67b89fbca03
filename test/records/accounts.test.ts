import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { beats } from '../../src/records/order.ts'
import { openPolicy, policyValue } from '../../src/records/policy.ts'
import { decodeRecord, type RecordBody, type SignedRecord, signRecord } from '../../src/records/record.ts'
import type { AccountValue, Change, Ledger, Policy } from '../../src/records/records.ts'
import { buriedMs, tombstoneMs } from '../../src/records/retention.ts'
import { Rules } from '../../src/records/rules.ts'
import type { Identity } from '../../src/wire/wire.ts'
import {
  alice,
  authority,
  bob,
  identity,
  ManualClock,
  recordsOf,
  type TestLedger,
  testLedger,
} from './fixture.ts'

const eve = identity(3)
const open: Policy = { rules: [], immutable: [], sealers: [], banned: [] }
const hour = 60 * 60_000

function robot(secret: string, more: { expiresMs?: number } = {}): AccountValue {
  return { type: 'robot', secret: Buffer.alloc(32, secret), groups: [], ...more }
}
const account = (name: string, value: AccountValue | undefined): Change => ({ kind: 'account', name, value })
const deploy = (secret: string): Change => account('robot$deploy', robot(secret))

function signed(author: Identity, ms: number, secret: string | null, more: object = {}): Uint8Array {
  const value = secret === null ? null : robot(secret)
  const body: RecordBody = { kind: 'account', key: 'robot$deploy', time: [ms, 0], value, ...more }
  return signRecord(body, author).envelope.bytes
}

function secretAt(ledger: Ledger): string | undefined {
  const { value } = ledger.findAccount('robot$deploy') ?? {}
  return value?.type === 'robot' ? String.fromCharCode(value.secret[0] ?? 0) : undefined
}

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

describe('an account', () => {
  it('is known at every node that hears of it, and after a restart', async () => {
    await using nodes = await twoNodes()
    const { one, two } = nodes
    await two.ledger.apply(await recordsOf(one.ledger, () => one.ledger.publishAsAuthority([deploy('a')])))
    await two.reopen()
    expect(two.ledger.findAccount('robot$deploy')).toMatchObject({
      name: 'robot$deploy',
      value: { type: 'robot', groups: [] },
      author: authority.peerId,
    })
    expect(two.ledger.findAccount('deploy')).toBeUndefined()
  })

  it('is listed in order, a page at a time, without those that were removed', async () => {
    await using node = await testLedger({ authorityIdentity: authority })
    const names = ['robot$a', 'robot$b', 'robot$c', 'robot$d']
    await node.ledger.publishAsAuthority(names.map((name) => account(name, robot(name))))
    await node.ledger.publishAsAuthority([account('robot$b', undefined)])
    const page = await node.ledger.listAccounts({ limit: 2 })
    expect(page.map(({ name }) => name)).toEqual(['robot$a', 'robot$c'])
    const next = await node.ledger.listAccounts({ after: 'robot$c', limit: 2 })
    expect(next.map(({ name }) => name)).toEqual(['robot$d'])
  })

  it('has another version with each change', async () => {
    await using node = await testLedger({ authorityIdentity: authority })
    const versions = new Set<string | undefined>()
    for (const secret of ['a', 'b', 'a']) {
      await node.ledger.publishAsAuthority([deploy(secret)])
      versions.add(node.ledger.findAccount('robot$deploy')?.version)
    }
    expect(versions.size).toBe(3)
  })

  it('is told to those who listen for changes', async () => {
    await using node = await testLedger({ authorityIdentity: authority })
    const heard: unknown[] = []
    node.ledger.onChange((keys) => heard.push(...keys))
    await node.ledger.publishAsAuthority([deploy('a')])
    await node.ledger.publishAsAuthority([account('robot$deploy', undefined)])
    expect(heard).toEqual([
      { kind: 'account', name: 'robot$deploy', deleted: false },
      { kind: 'account', name: 'robot$deploy', deleted: true },
    ])
  })
})

describe('who may write accounts', () => {
  it('is the authority, not a member', async () => {
    await using node = await testLedger()
    await expect(node.ledger.publish([deploy('a')])).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  })

  it('is an administrator that the policy names, until it does not', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    await two.ledger.apply(
      await recordsOf(one.ledger, () => one.ledger.setPolicy({ ...open, administrators: [bob.peerId] })),
    )
    expect(two.ledger.policy()).toEqual({ ...open, administrators: [bob.peerId] })
    await one.ledger.apply(await recordsOf(two.ledger, () => two.ledger.publish([deploy('a')])))
    expect(secretAt(one.ledger)).toBe('a')
    clock.ms++
    const last = await recordsOf(one.ledger, () => one.ledger.setPolicy(open))
    await two.ledger.apply(last)
    await expect(two.ledger.publish([deploy('b')])).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
    // What it had written stands, signed by the authority.
    for (const { ledger } of [one, two]) expect(secretAt(ledger)).toBe('a')
  })

  it('is told of a key: the authority, an administrator that is not banned, or nobody', async () => {
    await using node = await testLedger({ authorityIdentity: authority })
    await node.ledger.setPolicy({
      ...open,
      administrators: [bob.peerId, eve.peerId],
      banned: [eve.peerId],
    })
    const asked = [authority, bob, eve, alice].map(({ publicKey }) => node.ledger.signsAs(publicKey))
    expect(asked).toEqual(['authority', 'administrator', undefined, undefined])
  })

  it('refuses the record of somebody who may not, and blames nobody who passes it on', async () => {
    await using node = await testLedger()
    const report = await node.ledger.apply([signed(eve, 1_000, 'e')])
    expect(report).toMatchObject({ applied: 0, refused: { policy: 1 }, blame: undefined })
    expect(secretAt(node.ledger)).toBeUndefined()
  })

  it('refuses one that a stranger signed in the name of the authority, which may have been handed over', async () => {
    await using node = await testLedger()
    const forged = signed(eve, 1_000, 'e', { origin: authority.publicKey })
    expect(await node.ledger.apply([forged])).toMatchObject({ refused: { policy: 1 }, blame: undefined })
    expect(secretAt(node.ledger)).toBeUndefined()
  })

  it('blames who tells of a policy in which an administrator names himself anew', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const named = { ...open, administrators: [eve.peerId] }
    await two.ledger.apply(await recordsOf(one.ledger, () => one.ledger.setPolicy(named)))
    clock.ms++
    await two.ledger.apply(await recordsOf(one.ledger, () => one.ledger.setPolicy(open)))
    clock.ms++
    const value = policyValue(named, openPolicy, clock.ms)
    const again = signRecord({ kind: 'policy', key: '', time: [clock.ms, 0], value }, eve).envelope.bytes
    expect(await two.ledger.apply([again])).toMatchObject({ applied: 0, blame: 'forged' })
    expect(two.ledger.policy()).toEqual(open)
  })

  it('counts what a banned administrator wrote no more from the moment at which the ban is known', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const named = { ...open, administrators: [eve.peerId] }
    await two.ledger.apply(await recordsOf(one.ledger, () => one.ledger.setPolicy(named)))
    await two.ledger.apply([signed(eve, clock.ms, 'e')])
    expect(secretAt(two.ledger)).toBe('e')
    clock.ms++
    const ban = await recordsOf(one.ledger, () => one.ledger.setPolicy({ ...named, banned: [eve.peerId] }))
    await two.ledger.apply(ban)
    expect(secretAt(two.ledger)).toBeUndefined()
  })

  it('leaves what was before a dropped administrator’s change no way back', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const before = await recordsOf(one.ledger, () => one.ledger.publishAsAuthority([deploy('a')]))
    const named = { ...open, administrators: [eve.peerId] }
    const news = await recordsOf(one.ledger, () => one.ledger.setPolicy(named))
    clock.ms++
    const changed = signed(eve, clock.ms, 'e')
    for (const { ledger } of [one, two]) await ledger.apply([...before, ...news, changed])
    clock.ms++
    const banned = { ...named, banned: [eve.peerId] }
    const drop = { author: eve.peerId, keeps: () => false }
    await two.ledger.apply(await recordsOf(one.ledger, () => one.ledger.setPolicy(banned, { drop })))
    clock.ms += 2 * hour
    for (const { ledger } of [one, two]) {
      await ledger.sweep()
      await ledger.apply([...before, changed])
      expect(secretAt(ledger)).toBeUndefined()
    }
  })
})

describe('an old account record that is given again', () => {
  it('stands below what came after it, be that a change or a removal', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const first = await recordsOf(one.ledger, () => one.ledger.publishAsAuthority([deploy('a')]))
    clock.ms++
    const second = await recordsOf(one.ledger, () => one.ledger.publishAsAuthority([deploy('b')]))
    clock.ms++
    const removed = await recordsOf(one.ledger, () =>
      one.ledger.publishAsAuthority([account('robot$deploy', undefined)]),
    )
    await two.ledger.apply(second)
    await two.ledger.apply(first)
    expect(secretAt(two.ledger)).toBe('b')
    await two.ledger.apply(removed)
    await two.ledger.apply([...second, ...first])
    expect(secretAt(two.ledger)).toBeUndefined()
  })

  it('does so however long ago the account was removed', async () => {
    await using nodes = await twoNodes()
    const { one, two, clock } = nodes
    const first = await recordsOf(one.ledger, () => one.ledger.publishAsAuthority([deploy('a')]))
    clock.ms++
    const removed = await recordsOf(one.ledger, () =>
      one.ledger.publishAsAuthority([account('robot$deploy', undefined)]),
    )
    await two.ledger.apply([...first, ...removed])
    for (const waited of [tombstoneMs + hour, buriedMs + hour]) {
      clock.ms += waited
      await two.ledger.sweep()
    }
    expect(await two.ledger.apply(first)).toMatchObject({ applied: 0, known: 1 })
    // A node that comes new to the cluster is given the removal as well.
    await using late = await testLedger({ clock, identity: eve })
    await late.ledger.apply([
      ...first,
      two.ledger.findRecord({ kind: 'account', name: 'robot$deploy' }) ?? new Uint8Array(),
    ])
    expect(secretAt(late.ledger)).toBeUndefined()
  })
})

describe('the ledgers of all nodes', () => {
  const event = fc.record({
    author: fc.constantFrom(authority, alice, bob, eve),
    ms: fc.integer({ min: 1, max: 5 }),
    secret: fc.constantFrom('a', 'b', null),
  })
  const administrators = fc.constantFrom([], [alice], [alice, bob])

  it('show the newest that somebody signed who may, whatever came first and how often', () => {
    const order = fc.infiniteStream(fc.nat())
    fc.assert(
      fc.property(fc.array(event, { maxLength: 6 }), administrators, order, (events, named, chance) => {
        const policy = { ...open, administrators: named.map(({ peerId }) => peerId) }
        const rules = new Rules(policyValue(policy, openPolicy, 0), authority.publicKey)
        const records = events.map(({ author, ms, secret }) => decodeRecord(signed(author, ms, secret)))
        const shownAfter = (told: SignedRecord[]): SignedRecord | undefined =>
          told.reduce<SignedRecord | undefined>((standing, record) => {
            if (rules.refusalOf(record) !== undefined) return standing
            return standing === undefined || beats(record, standing, rules) ? record : standing
          }, undefined)
        const shuffled = [...records, ...records].map((record) => ({ record, rank: chance.next().value }))
        shuffled.sort((a, b) => a.rank - b.rank)
        const shown = shownAfter(shuffled.map(({ record }) => record))
        expect(shown?.envelope.bytes).toEqual(shownAfter(records)?.envelope.bytes)
        const may = new Set([authority, ...named].map(({ peerId }) => peerId))
        const newestMs = events.filter(({ author }) => may.has(author.peerId)).map(({ ms }) => ms)
        expect(shown?.body.time[0]).toBe(newestMs.length === 0 ? undefined : Math.max(...newestMs))
      }),
      { numRuns: 200 },
    )
  })
})

describe('rules about people', () => {
  const access: Policy['access'] = [
    {
      repositories: 'team/**',
      who: ['user:ann', 'group:ci', 'robot:deploy'],
      may: ['pull', 'push', 'delete'],
    },
    { repositories: '**', who: ['anyone', 'anonymous'], may: [] },
  ]

  it('are part of the policy, as they were written', async () => {
    await using node = await testLedger({ authorityIdentity: authority })
    await node.ledger.setPolicy({ ...open, access })
    await node.reopen()
    expect(node.ledger.policy()).toEqual({ ...open, access })
  })

  it('may be a thousand', async () => {
    await using node = await testLedger({ authorityIdentity: authority })
    const rule = (n: number) =>
      ({ repositories: `department-${n}/**`, who: [`group:group-${n}`], may: ['pull', 'push'] }) as const
    const many = Array.from({ length: 1000 }, (_, n) => ({
      ...rule(n),
      who: [...rule(n).who],
      may: [...rule(n).may],
    }))
    await node.ledger.setPolicy({ ...open, access: many })
    expect(node.ledger.policy().access).toHaveLength(1000)
  })

  it.each([
    ['an empty pattern', { repositories: '', who: ['anyone'], may: [] }],
    ['a prefix that ends in a slash', { repositories: 'team/', who: ['anyone'], may: [] }],
    ['nobody’s name', { repositories: '**', who: ['ann'], may: [] }],
    ['an empty name', { repositories: '**', who: ['user:'], may: [] }],
    ['a robot as a user', { repositories: '**', who: ['user:robot$deploy'], may: [] }],
    ['everybody', { repositories: '**', who: ['*'], may: [] }],
  ] as const)('do not begin with %s', async (_, rule) => {
    await using node = await testLedger({ authorityIdentity: authority })
    const refused = node.ledger.setPolicy({ ...open, access: [{ ...rule, who: [...rule.who], may: [] }] })
    await expect(refused).rejects.toMatchObject({ code: 'MALFORMED' })
  })
})

describe('what an account’s record may say', () => {
  const person = {
    type: 'person',
    password: {
      algorithm: 'argon2id',
      memoryKib: 19_456,
      passes: 2,
      lanes: 1,
      salt: Buffer.alloc(16),
      hash: Buffer.alloc(32),
    },
    groups: ['ci'],
  } as const
  const body = (key: string, value: unknown): RecordBody =>
    ({ kind: 'account', key, time: [1, 0], value }) as RecordBody

  it.each([
    ['no name', body('', person)],
    ['a name with a colon', body('a:b', person)],
    ['upper case', body('Ann', person)],
    ['a robot without a name', body('robot$', robot('a'))],
    ['a robot with a person’s name', body('ann', robot('a'))],
    ['a person with a robot’s name', body('robot$deploy', person)],
    [
      'a hash that costs a gigabyte',
      body('ann', { ...person, password: { ...person.password, memoryKib: 1_048_576 } }),
    ],
    [
      'a hash that takes for ever',
      body('ann', { ...person, password: { ...person.password, passes: 1_000_000 } }),
    ],
    ['another algorithm', body('ann', { ...person, password: { ...person.password, algorithm: 'md5' } })],
  ])('is not %s', (_, wrong) => {
    expect(() => signRecord(wrong, authority)).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  })

  it('has one encoding', () => {
    const groups = ['ci']
    const record = signRecord(body('ann', { ...person, groups, disabledMs: 5 }), authority)
    expect(decodeRecord(record.envelope.bytes).body).toEqual(record.body)
    expect(record.envelope.bytes.length).toBeLessThan(400)
  })
})
