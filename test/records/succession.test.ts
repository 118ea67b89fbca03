import { join } from 'node:path'
import { Level } from 'level'
import { describe, expect, it, vi } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { grantDelayMs, settlesMs } from '../../src/records/authority-memory.ts'
import { Draft } from '../../src/records/draft.ts'
import { openPolicy, policyValue } from '../../src/records/policy.ts'
import { policySchema } from '../../src/records/policy-schema.ts'
import {
  decodeRecord,
  parseKeyText,
  type RecordBody,
  recordDomain,
  sealRecord,
  signRecord,
} from '../../src/records/record.ts'
import type { AccountValue, Change, Ledger, Policy } from '../../src/records/records.ts'
import { contestedAt, recordsOf as rowsOf } from '../../src/records/storage.ts'
import {
  approve,
  type Handover,
  maxHandovers,
  signGrant,
  signHandover,
} from '../../src/records/succession.ts'
import { graceMs } from '../../src/records/sweep.ts'
import { timeSchema } from '../../src/records/time.ts'
import { codec, type Identity, literal, seal, struct, text } from '../../src/wire/wire.ts'
import {
  alice,
  authority,
  bob,
  digestOf,
  identity,
  ManualClock,
  mediaType,
  type TestLedger,
  tagChange,
  testLedger,
} from './fixture.ts'

const [next, other, thief] = [identity(20), identity(21), identity(22)]
const [carol, dora, ed] = [identity(30), identity(31), identity(32)]
const open: Policy = { rules: [], immutable: [], sealers: [], banned: [] }
const day = 24 * 60 * 60_000

const robot = (secret: string): AccountValue => ({
  type: 'robot',
  secret: Buffer.alloc(32, secret),
  groups: [],
})
const deploy = (secret: string): Change => ({ kind: 'account', name: 'robot$deploy', value: robot(secret) })

function accountBy(author: Identity, ms: number, secret: string): Uint8Array {
  const body: RecordBody = { kind: 'account', key: 'robot$deploy', time: [ms, 0], value: robot(secret) }
  return signRecord(body, author).envelope.bytes
}

/** A policy with that chain of handovers, signed by who it leads to. */
function policyBy(
  author: Identity,
  ms: number,
  handovers: Handover[],
  more: Partial<Policy> = {},
): Uint8Array {
  const value = { ...policyValue({ ...open, ...more }, openPolicy, ms), handovers }
  const body: RecordBody = { kind: 'policy', key: '', time: [ms, 0], value }
  return signRecord(body, author).envelope.bytes
}

function secretAt(ledger: Ledger): string | undefined {
  const { value } = ledger.findAccount('robot$deploy') ?? {}
  return value?.type === 'robot' ? String.fromCharCode(value.secret[0] ?? 0) : undefined
}

const governs = ({ ledger }: TestLedger): string => ledger.authority.state().now

async function everything(ledger: Ledger): Promise<Uint8Array[]> {
  const positions = await ledger.positions()
  const keys: string[] = []
  for await (const { key } of positions.under('')) keys.push(key)
  return keys.flatMap((key) => ledger.findRecord(parseKeyText(key)) ?? [])
}

/** As a reconciliation leaves two that meet: first the policies, then the rest, from each to the other. */
async function meet({ ledger: a }: TestLedger, { ledger: b }: TestLedger): Promise<void> {
  const [fromA, fromB] = [await everything(a), await everything(b)]
  await b.apply(fromA)
  await a.apply(fromB)
  await b.apply(await everything(a))
}

interface Nodes extends AsyncDisposable {
  /** Holds the authority key, as `spare` does. */
  holder: TestLedger
  member: TestLedger
  spare: TestLedger
  clock: ManualClock
}

async function threeNodes(): Promise<Nodes> {
  const clock = new ManualClock()
  await using stack = new AsyncDisposableStack()
  const holder = stack.use(await testLedger({ clock, identity: alice, authorityIdentity: authority }))
  const member = stack.use(await testLedger({ clock, identity: bob }))
  const spare = stack.use(await testLedger({ clock, identity: identity(9), authorityIdentity: authority }))
  const opened = stack.move()
  return { holder, member, spare, clock, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

describe('an authority that is handed over', () => {
  it('is the new key at every node that hears of it, and after a restart', async () => {
    await using nodes = await threeNodes()
    const { holder, member } = nodes
    await holder.ledger.setPolicy({ ...open, administrators: [bob.peerId] })
    await holder.ledger.authority.handOver(next)
    await meet(holder, member)
    await holder.reopen({ authorityIdentity: next })
    await member.reopen()
    for (const { ledger } of [holder, member]) {
      expect(ledger.authority.state()).toMatchObject({ root: authority.peerId, now: next.peerId })
      expect(ledger.policy()).toEqual({ ...open, administrators: [bob.peerId] })
      expect(ledger.signsAs(authority.publicKey)).toBeUndefined()
    }
    expect(holder.ledger.authority.holds()).toBe(true)
    await holder.ledger.setPolicy({ ...open, banned: [carol.peerId] })
    await meet(holder, member)
    expect(member.ledger.policy().banned).toEqual([carol.peerId])
  })

  it('goes on in the hands of the new key without a restart, and no more in those of the old one', async () => {
    await using nodes = await threeNodes()
    const { holder, spare } = nodes
    await holder.ledger.authority.handOver(next)
    await holder.ledger.publishAsAuthority([deploy('a')])
    expect(holder.ledger.findAccount('robot$deploy')?.author).toBe(next.peerId)
    await meet(holder, spare)
    expect(spare.ledger.authority.holds()).toBe(false)
    await expect(spare.ledger.setPolicy(open)).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
    await expect(spare.ledger.authority.handOver(other)).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
  })

  it('leaves what stood where it stands, signed again by the new key, when what the old one signed goes', async () => {
    await using nodes = await threeNodes()
    const { holder, member, clock } = nodes
    await holder.ledger.publish([tagChange('team/app', 'theirs', 'one')])
    await holder.ledger.publishAsAuthority([deploy('a'), tagChange('team/app', 'own', 'two')])
    await holder.ledger.setPolicy({ ...open, immutable: [{ repositories: '**', tags: 'v*' }] })
    await holder.ledger.publish([tagChange('team/app', 'v1', 'three')])
    await meet(holder, member)
    clock.ms++
    await holder.ledger.authority.handOver(next)
    await meet(holder, member)
    clock.ms += graceMs + 1
    for (const { ledger } of [holder, member]) {
      await ledger.sweep()
      expect(secretAt(ledger)).toBe('a')
      for (const record of await everything(ledger))
        expect(decodeRecord(record).envelope.author).not.toEqual(authority.publicKey)
      expect(await ledger.listTags(parseRepository('team/app'), { limit: 9 })).toEqual([
        'own',
        'theirs',
        'v1',
      ])
    }
    // Sealed as early as before, so that nothing comes to stand before it.
    const late = sealedTag(clock.ms - graceMs, identity(8))
    expect(await member.ledger.apply([late])).toMatchObject({ applied: 0 })
  })

  it('keeps accounts working at a node that has the new policy and not yet what was signed again', async () => {
    await using nodes = await threeNodes()
    const { holder, member } = nodes
    await holder.ledger.publishAsAuthority([deploy('a')])
    await meet(holder, member)
    await holder.ledger.authority.handOver(next)
    await member.ledger.apply([holder.ledger.findRecord({ kind: 'policy' }) ?? new Uint8Array()])
    expect(governs(member)).toBe(next.peerId)
    expect(secretAt(member.ledger)).toBe('a')
  })

  it('goes on after a stop in the middle of signing again what stood', async () => {
    await using nodes = await threeNodes()
    const { holder, member, clock } = nodes
    await holder.ledger.publishAsAuthority([deploy('a')])
    await meet(holder, member)
    await holder.ledger.authority.handOver(next)
    // As a holder is that was stopped after its first write.
    await member.ledger.apply([holder.ledger.findRecord({ kind: 'policy' }) ?? new Uint8Array()])
    await member.whileClosed(async (path) => {
      const db = new Level(join(path, 'db'))
      await rowsOf(db).put('zhanding-over', '1')
      await db.close()
    })
    await member.reopen({ authorityIdentity: next })
    clock.ms += graceMs + 1
    await member.ledger.sweep()
    expect(member.ledger.findAccount('robot$deploy')).toMatchObject({ author: authority.peerId })
    expect(secretAt(member.ledger)).toBe('a')
  })

  it('takes nothing that the old key signs from then on, however it is dated', async () => {
    await using nodes = await threeNodes()
    const { holder, member, clock } = nodes
    await holder.ledger.publishAsAuthority([deploy('a')])
    await holder.ledger.authority.handOver(next)
    await meet(holder, member)
    const tagBody: RecordBody = {
      ...decodeRecord(tagOf(carol, clock.ms)).body,
      origin: carol.publicKey,
    }
    for (const ms of [1, clock.ms + 1, clock.ms + 60_000]) {
      const report = await member.ledger.apply([
        accountBy(authority, ms, 'e'),
        policyBy(authority, ms, [], { administrators: [thief.peerId] }),
        tagOf(authority, ms),
        signRecord({ ...tagBody, time: [ms, 0] }, authority).envelope.bytes,
      ])
      expect(report).toMatchObject({ applied: 0, blame: undefined })
    }
    expect(secretAt(member.ledger)).toBe('a')
    expect(member.ledger.policy()).toEqual(open)
  })

  it('holds against a deletion of before that a member brings back after 40 days', async () => {
    await using nodes = await threeNodes()
    const { holder, member, spare, clock } = nodes
    await holder.ledger.publish([tagChange('team/app', 'old', 'one')])
    for (const node of [member, spare]) await meet(holder, node)
    clock.ms++
    await holder.ledger.publishAsAuthority([tagChange('team/app', 'old', undefined)])
    await meet(holder, member)
    clock.ms += 31 * day
    for (const { ledger } of [holder, member]) await ledger.sweep()
    await holder.ledger.authority.handOver(next)
    await meet(holder, member)
    clock.ms += 9 * day
    // The one that was away holds the old key, and the tag.
    await meet(spare, member)
    expect(governs(spare)).toBe(next.peerId)
    for (const { ledger } of [member, spare])
      expect(await ledger.findTag(parseRepository('team/app'), parseTag('old'))).toBeUndefined()
  })

  it('is followed by who joins with a token of before, however often it was handed over, and no more than 64 times', async () => {
    await using nodes = await threeNodes()
    const { holder, clock } = nodes
    let last = authority
    for (let n = 0; n < maxHandovers; n++) {
      clock.ms++
      last = identity(100 + n)
      await holder.ledger.authority.handOver(last)
    }
    await expect(holder.ledger.authority.handOver(other)).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
    await using late = await testLedger({ clock, identity: bob })
    await late.ledger.apply(await everything(holder.ledger))
    expect(governs(late)).toBe(last.peerId)
    expect(late.ledger.authority.state().handovers).toHaveLength(maxHandovers)
  })
})

describe('a policy with handovers', () => {
  const link = signHandover(authority, next.publicKey, 5)
  const wrong = { ...link, at: 6 }
  const grant = signGrant({ keys: [carol, dora, ed].map(({ publicKey }) => publicKey), need: 2 }, authority)
  const statement = { from: authority.publicKey, to: next.publicKey, at: 5 }
  const by = (...signers: Identity[]): Handover => ({
    ...statement,
    grant,
    signatures: signers.map((signer) => approve(statement, signer)),
  })
  const forged = by(carol, dora)
  const swapped = forged.signatures.map((signature, n) =>
    Buffer.concat([signature.subarray(0, 32), forged.signatures[1 - n]?.subarray(32) ?? Buffer.alloc(0)]),
  )

  it.each([
    ['by nobody', [{ ...link, signatures: [] }], next, 'malformed'],
    ['by another than the one that hands over', [signHandover(thief, next.publicKey, 5)], next, 'forged'],
    ['that was changed after it was signed', [wrong], next, 'signature'],
    ['to another than who signs the policy', [link], thief, 'malformed'],
    ['that begins at another key', [signHandover(next, other.publicKey, 5)], other, 'forged'],
    ['with a gap', [link, signHandover(thief, other.publicKey, 6)], other, 'malformed'],
    ['back to a key of before', [link, signHandover(next, authority.publicKey, 6)], authority, 'malformed'],
    ['by one where two are needed', [by(carol)], next, 'malformed'],
    ['by one twice', [by(carol, carol)], next, 'malformed'],
    ['by one that was granted nothing', [by(carol, thief)], next, 'malformed'],
    ['by two whose signatures are each the other’s', [{ ...forged, signatures: swapped }], next, 'signature'],
    [
      'by a grant of another authority',
      [{ ...by(carol, dora), grant: signGrant({ keys: [carol.publicKey, dora.publicKey], need: 2 }, thief) }],
      next,
      'malformed',
    ],
  ])('%s is refused, and who told of it blamed', async (_, handovers, signer, blame) => {
    await using node = await testLedger()
    const record = sealedAnyhow(handovers, signer)
    expect(await node.ledger.apply([record])).toMatchObject({ applied: 0, blame })
    expect(governs(node)).toBe(authority.peerId)
  })
})

describe('an authority that is handed over twice by one key', () => {
  it('is the one that it was handed over to first, everywhere, while that is news, and both holders are told', async () => {
    await using nodes = await threeNodes()
    const { holder, member, spare, clock } = nodes
    await holder.ledger.authority.handOver(next)
    clock.ms++
    await spare.ledger.authority.handOver(other)
    await spare.ledger.publishAsAuthority([deploy('b')])
    await meet(spare, member)
    expect(governs(member)).toBe(other.peerId)
    await meet(holder, member)
    await meet(member, spare)
    await meet(holder, spare)
    for (const node of [holder, member, spare]) expect(governs(node)).toBe(next.peerId)
    const told = { other: other.peerId, from: authority.peerId }
    for (const node of [holder, spare]) expect(node.ledger.authority.state().contested).toMatchObject(told)
    expect(spare.ledger.authority.holds()).toBe(false)
  })

  it.each([
    [next, other],
    [other, next],
  ])(
    'keeps what stood before both, at once, at nodes that had followed the losing key as well',
    async (winner, loser) => {
      await using nodes = await threeNodes()
      const { holder, member, spare, clock } = nodes
      await holder.ledger.publishAsAuthority([deploy('a'), tagChange('team/app', 'v1', 'x')])
      await meet(holder, member)
      await meet(holder, spare)
      await holder.ledger.authority.handOver(winner)
      clock.ms++
      await spare.ledger.authority.handOver(loser)
      await meet(spare, member)
      for (const one of [member, spare]) await meet(holder, one)
      for (const node of [holder, member, spare]) {
        expect(governs(node)).toBe(winner.peerId)
        expect(secretAt(node.ledger)).toBe('a')
        expect((await node.ledger.findTag(parseRepository('team/app'), parseTag('v1')))?.author).toBe(
          authority.peerId,
        )
      }
      const records = await Promise.all([holder, member, spare].map(({ ledger }) => everything(ledger)))
      expect(new Set(records.map((all) => Buffer.concat(all).toString('hex'))).size).toBe(1)
    },
  )

  it('stays what a node has followed for an hour, be the other dated before it', async () => {
    await using nodes = await threeNodes()
    const { holder, member, clock } = nodes
    await holder.ledger.authority.handOver(next)
    await meet(holder, member)
    clock.ms += settlesMs
    await member.reopen()
    const stolen = policyBy(thief, clock.ms, [signHandover(authority, thief.publicKey, 1)])
    expect(await member.ledger.apply([stolen])).toMatchObject({ applied: 0, blame: undefined })
    expect(member.ledger.authority.state()).toMatchObject({
      now: next.peerId,
      contested: { other: thief.peerId },
    })
  })

  it('stays so although it was handed on since', async () => {
    await using nodes = await threeNodes()
    const { holder, member, clock } = nodes
    await holder.ledger.authority.handOver(next)
    await meet(holder, member)
    clock.ms += settlesMs
    await holder.ledger.authority.handOver(other)
    await meet(holder, member)
    await member.ledger.apply([policyBy(thief, clock.ms, [signHandover(authority, thief.publicKey, 1)])])
    expect(governs(member)).toBe(other.peerId)
  })

  it('is two on two sides that were apart for longer, until an operator says which it is', async () => {
    await using nodes = await threeNodes()
    const { holder, member, spare, clock } = nodes
    await holder.ledger.authority.handOver(next)
    clock.ms++
    await spare.ledger.authority.handOver(other)
    await meet(spare, member)
    clock.ms += settlesMs
    await meet(holder, member)
    expect(governs(holder)).toBe(next.peerId)
    expect(governs(member)).toBe(other.peerId)
    expect(holder.ledger.authority.state().contested?.other).toBe(other.peerId)
    for (const node of [holder, member]) {
      const before = node.ledger.authority.state()
      await node.reopen()
      expect(node.ledger.authority.state()).toEqual(before)
    }
    await expect(member.ledger.authority.follow(thief.peerId)).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
    })
    await member.ledger.authority.follow(next.peerId)
    expect(governs(member)).toBe(next.peerId)
    expect(member.ledger.authority.state().contested).toBeUndefined()
    await meet(spare, member)
    expect(governs(member)).toBe(next.peerId)
    // Those that were right all along are told so as well, for good.
    await holder.ledger.authority.follow(next.peerId)
    for (const node of [holder, member]) await node.reopen()
    expect(holder.ledger.authority.state().contested).toBeUndefined()
    expect(governs(holder)).toBe(next.peerId)
    clock.ms += 2 * settlesMs
    expect(member.ledger.authority.state()).toMatchObject({
      now: next.peerId,
      contested: { other: other.peerId },
    })
  })

  it('goes from one to the next where both are asked for at once on one node', async () => {
    await using nodes = await threeNodes()
    const { authority: key } = nodes.holder.ledger
    await Promise.all([key.handOver(next), key.handOver(other)])
    const handovers = [{ to: next.peerId }, { to: other.peerId }]
    expect(key.state()).toMatchObject({ now: other.peerId, handovers })
  })

  it('costs a node one write an hour, however often a thief makes another', async () => {
    await using nodes = await threeNodes()
    const { holder, member, clock } = nodes
    await holder.ledger.authority.handOver(next)
    await meet(holder, member)
    clock.ms += settlesMs
    const put = vi.spyOn(Draft.prototype, 'write')
    for (let n = 0; n < 5; n++) {
      const key = identity(40 + n)
      await member.ledger.apply([policyBy(key, clock.ms, [signHandover(authority, key.publicKey, n)])])
    }
    expect(put.mock.calls.filter(([row]) => row === contestedAt)).toHaveLength(1)
    expect(member.ledger.authority.state().contested?.other).toBe(identity(44).peerId)
    put.mockRestore()
  })
})

describe('an authority whose key is lost', () => {
  const recovery = { keys: [carol, dora, ed].map(({ peerId }) => peerId), need: 2 }
  const policy = { ...open, recovery }
  const signatures = (ledger: Ledger, to: Identity, atMs: number, ...signers: Identity[]): Uint8Array[] => {
    const statement = ledger.authority.proposal(to.publicKey, atMs)
    return signers.map((signer) => approve(statement, signer))
  }

  it('is replaced by as many as the policy asks for, at a node that never had it', async () => {
    await using nodes = await threeNodes()
    const { holder, member, spare, clock } = nodes
    await holder.ledger.setPolicy(policy)
    await holder.ledger.publishAsAuthority([deploy('a')])
    for (const node of [member, spare]) await meet(holder, node)
    const { ledger } = member
    await ledger.authority.replace(next, clock.ms, signatures(ledger, next, clock.ms, carol, ed))
    await meet(member, spare)
    for (const node of [member, spare]) {
      expect(node.ledger.authority.state()).toMatchObject({
        now: next.peerId,
        handovers: [{ to: next.peerId, isReplaced: true }],
      })
      expect(node.ledger.policy()).toEqual(policy)
      expect(secretAt(node.ledger)).toBe('a')
    }
    await using late = await testLedger({ clock, identity: ed })
    await late.ledger.apply(await everything(spare.ledger))
    expect(governs(late)).toBe(next.peerId)
  })

  it.each([
    ['too few', [carol]],
    ['one twice', [carol, carol]],
    ['one that the policy does not name', [carol, thief]],
  ])('is not replaced by %s', async (_, signers) => {
    await using nodes = await threeNodes()
    const { holder, clock } = nodes
    await holder.ledger.setPolicy(policy)
    const signed = signatures(holder.ledger, next, clock.ms, ...signers)
    await expect(holder.ledger.authority.replace(next, clock.ms, signed)).rejects.toMatchObject({
      code: 'MALFORMED',
    })
    const others = signatures(holder.ledger, next, clock.ms - 1, carol, dora)
    await expect(holder.ledger.authority.replace(next, clock.ms, others)).rejects.toMatchObject({
      code: 'BAD_SIGNATURE',
    })
    expect(governs(holder)).toBe(authority.peerId)
  })

  it('is not replaced where the policy names nobody who might', async () => {
    await using node = await testLedger({ authorityIdentity: authority })
    expect(() => node.ledger.authority.proposal(next.publicKey, 1)).toThrow(
      expect.objectContaining({ code: 'NOT_PERMITTED' }),
    )
  })

  it('is not replaced by those that a policy named before the one that counts now, after a week', async () => {
    await using nodes = await threeNodes()
    const { holder, member, clock } = nodes
    await holder.ledger.setPolicy(policy)
    await meet(holder, member)
    const statement = holder.ledger.authority.proposal(next.publicKey, clock.ms)
    const grant = signGrant({ keys: recoveryKeys, need: 2 }, authority)
    const link = { ...statement, grant, signatures: [carol, dora].map((one) => approve(statement, one)) }
    clock.ms++
    await holder.ledger.setPolicy(open)
    await meet(holder, member)
    clock.ms += grantDelayMs
    await member.ledger.apply([policyBy(next, clock.ms, [link])])
    expect(governs(member)).toBe(authority.peerId)
  })

  it('is theirs again within a week after a thief of the key took the right from them, and the authority', async () => {
    await using nodes = await threeNodes()
    const { holder, member, clock } = nodes
    await holder.ledger.setPolicy(policy)
    await meet(holder, member)
    clock.ms += grantDelayMs
    const statement = holder.ledger.authority.proposal(next.publicKey, clock.ms)
    const grant = signGrant({ keys: recoveryKeys, need: 2 }, authority)
    const link = { ...statement, grant, signatures: [carol, dora].map((one) => approve(statement, one)) }
    await member.ledger.apply([policyBy(authority, clock.ms, [])])
    await member.ledger.apply([
      policyBy(thief, clock.ms, [signHandover(authority, thief.publicKey, clock.ms)]),
    ])
    expect(governs(member)).toBe(thief.peerId)
    clock.ms += day
    await member.ledger.apply([policyBy(next, clock.ms, [link])])
    expect(governs(member)).toBe(next.peerId)
  })

  it('is not what a thief of the old key grants itself', async () => {
    await using nodes = await threeNodes()
    const { holder, member, clock } = nodes
    const grant = signGrant({ keys: [thief.publicKey], need: 1 }, authority)
    const granted = signRecord(
      { kind: 'policy', key: '', time: [clock.ms, 0], value: { ...openPolicy, recovery: grant } },
      authority,
    )
    await member.ledger.apply([granted.envelope.bytes])
    clock.ms++
    await holder.ledger.setPolicy(open)
    await holder.ledger.authority.handOver(next)
    await meet(holder, member)
    const statement = { from: authority.publicKey, to: thief.publicKey, at: 1 }
    const link = { ...statement, grant, signatures: [approve(statement, thief)] }
    for (const waited of [0, settlesMs, grantDelayMs]) {
      clock.ms += waited
      await member.ledger.apply([policyBy(thief, clock.ms, [link])])
      expect(governs(member)).toBe(next.peerId)
    }
    // Nor at a node that came after the handover.
    await using late = await testLedger({ clock, identity: ed })
    await late.ledger.apply(await everything(holder.ledger))
    await late.ledger.apply([policyBy(thief, clock.ms, [link])])
    expect(governs(late)).toBe(next.peerId)
  })
})

const recoveryKeys = [carol, dora, ed].map(({ publicKey }) => publicKey)

function tagOf(author: Identity, ms: number): Uint8Array {
  const value = { digest: digestOf('evil'), mediaType, size: 4 }
  const body: RecordBody = { kind: 'tag', key: 'team/app:v1', time: [ms, 0], value }
  return signRecord(body, author).envelope.bytes
}

function sealedTag(ms: number, sealer: Identity): Uint8Array {
  return sealRecord(decodeRecord(tagOf(alice, ms)), ms, sealer).envelope.bytes
}

/** What `signRecord` would refuse as well. */
function sealedAnyhow(handovers: Handover[], signer: Identity): Uint8Array {
  const value = { ...openPolicy, handovers }
  const body = anyPolicy.encode({ kind: 'policy', key: '', time: [5, 0], value })
  return seal(recordDomain, body, signer)
}

const anyPolicy = codec(
  struct({ kind: literal('policy'), key: text({ max: 9 }), time: timeSchema, value: policySchema }),
  { maxBytes: 65_536 },
)
