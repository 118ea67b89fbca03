/** Invitations, members and admissions as records: who may say what, and who is in by it. */
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { invitationId, proveInvitation } from '../../src/records/membership.ts'
import { decodeRecord, type RecordBody, type SignedRecord, signRecord } from '../../src/records/record.ts'
import type { Change, Ledger, Policy } from '../../src/records/records.ts'
import { RosterBook } from '../../src/records/roster.ts'
import type { Identity } from '../../src/wire/wire.ts'
import {
  alice,
  authority,
  bob,
  fingerprintsOf,
  identity,
  ManualClock,
  recordsOf,
  type TestLedger,
  tagChange,
  testLedger,
} from './fixture.ts'

const [carol, dave, eve] = [identity(3), identity(4), identity(5)]
const key = identity(100)
const id = invitationId(key.publicKey)
const hour = 60 * 60_000
const open: Policy = { rules: [], immutable: [], sealers: [], banned: [] }
const closed: Policy = { ...open, members: 'approved' }

let stack: AsyncDisposableStack
let clock: ManualClock
let home: TestLedger
let ledger: Ledger
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  clock = new ManualClock()
  home = stack.use(await testLedger({ clock, authorityIdentity: authority }))
  ledger = home.ledger
})
afterEach(async () => {
  await stack.disposeAsync()
})

const approve = (peer: string, more = {}): Change => ({
  kind: 'member',
  peer,
  value: { approvedMs: clock.ms, ...more },
})

function invite(
  more: Partial<{ uses: number; expiresMs: number; revokedMs: number; approvedMs: number }> = {},
): Change {
  return {
    kind: 'invitation',
    id,
    value: { key: key.publicKey, uses: 1, expiresMs: clock.ms + hour, ...more },
  }
}

function admission(newcomer: Identity, by: Identity, ms = clock.ms, invitation = key): Uint8Array {
  const body: RecordBody = {
    kind: 'admission',
    key: `${invitationId(invitation.publicKey)}/${newcomer.peerId}/${by.peerId}`,
    time: [ms, 0],
    value: { proof: proveInvitation(newcomer.peerId, invitation), name: 'host' },
  }
  return signRecord(body, by).envelope.bytes
}

const tagOf = (author: Identity, tag = 'v1', ms = clock.ms): Uint8Array => {
  const value = { digest: `sha256:${'a'.repeat(64)}`, mediaType: 'x/y', size: 4 }
  const body = { kind: 'tag', key: `team/app:${tag}`, time: [ms, 0], value } as unknown as RecordBody
  return signRecord(body, author).envelope.bytes
}

const isMember = (who: Identity, at = ledger): boolean => at.roster().isMember(who.peerId)

async function otherLedger(): Promise<Ledger> {
  return stack.use(await testLedger({ clock, identity: bob })).ledger
}

test('an invitation, a member and an admission are these bytes', () => {
  const records: RecordBody[] = [
    {
      kind: 'invitation',
      key: id,
      time: [1, 0],
      value: { key: key.publicKey, uses: 3, expiresMs: 5, revokedMs: 4, approvedMs: 2, site: 'berlin' },
    },
    { kind: 'member', key: bob.peerId, time: [1, 0], value: { approvedMs: 1, goneMs: 2, name: 'host-b' } },
  ]
  const signed = [
    ...records.map((body) => signRecord(body, authority).envelope.bytes),
    admission(bob, alice, 1),
  ].map((bytes) => Buffer.from(bytes).toString('base64'))
  expect(signed).toMatchInlineSnapshot(`
    [
      "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2imeD/5SH0wwHf+sirz02McZnzaV9pbTKck7irdqL/NLhhhJSVh2I4qokxi8uMf2d3yq2xfmzlZcIYkHsRv8cHILpGNrZXl4IDU3NTk0YWQ2MWYzM2U5OTc1Y2ViYWNmZTIwYTU5MmQ1ZGtpbmRqaW52aXRhdGlvbmR0aW1lggEAZXZhbHVlpmNrZXlYIHVOz/7ek0RYoUCi/hWRMR8uMU/bJhC9EeuilPMjsicmZHNpdGVmYmVybGluZHVzZXMDaWV4cGlyZXNNcwVpcmV2b2tlZE1zBGphcHByb3ZlZE1zAg==",
      "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ims8XuV+P59GET3JUG4eVOp3G98RsEsMUeKm7TRGJ4C/gPTrYE7+EDWn9O/WstOia+fr9fheeRsYpd/S3D+CiwDpGNrZXl4NDEyRDNLb29XR3hQMXlScnRCREZZWjJ1enhFaEF4ZXc4QzJ6VWNMaGRCR1lacDkzZko3VG1ka2luZGZtZW1iZXJkdGltZYIBAGV2YWx1ZaNkbmFtZWZob3N0LWJmZ29uZU1zAmphcHByb3ZlZE1zAQ==",
      "sfgE2rxoJ0wSM5lcWpEZtWk1vN2Dt94H7HJtztxOnOecmTcT+/ub4PU3kv6UghlFwPcxsTX1VIb0haUPj7EGCouTFq98n/Ts9QESlYxCztacApDjO8VNMXHGvrLr/KwOpGNrZXl4ijU3NTk0YWQ2MWYzM2U5OTc1Y2ViYWNmZTIwYTU5MmQ1LzEyRDNLb29XR3hQMXlScnRCREZZWjJ1enhFaEF4ZXc4QzJ6VWNMaGRCR1lacDkzZko3VG0vMTJEM0tvb1dNbzVnUmJaUTR2Um4yYmtBQThUNUJHMVhYd0YycFRzZWRSREJDdUJoSlFOMmRraW5kaWFkbWlzc2lvbmR0aW1lggEAZXZhbHVlomRuYW1lZGhvc3RlcHJvb2ZYgHVOz/7ek0RYoUCi/hWRMR8uMU/bJhC9EeuilPMjsicm7YxrrDJabgzC2VlTUVvkeVLFyeVP5x1k+ARyUvp0NRlzIRKxzzqkz+y7GnhJDs629pdE31ItD72oyZripbEMA2oPaig6jk6G0qPWDvnjfsM/KrYHGjDgpHdzUSjnVx6w",
    ]
  `)
})

describe('with members: approved', () => {
  it('those that were there are members in the same step, over restarts, and stay so when it is set again', async () => {
    await ledger.setPolicy(closed, { present: [alice.peerId, bob.peerId] })
    expect([alice, bob, carol].map((who) => isMember(who))).toEqual([true, true, false])
    expect(ledger.isGuest(carol.peerId)).toBe(true)
    await ledger.setPolicy({ ...closed, banned: [eve.peerId] }, { present: [carol.peerId] })
    await home.reopen()
    expect([alice, bob, carol].map((who) => isMember(who, home.ledger))).toEqual([true, true, false])
    expect(home.ledger.policy().members).toBe('approved')
  })

  it('nobody but they may write, and what others had written stays, signed again', async () => {
    await ledger.apply([tagOf(carol, 'before'), tagOf(bob, 'of-bob')])
    const records = await recordsOf(ledger, () =>
      ledger.setPolicy(closed, { present: [alice.peerId, bob.peerId] }),
    )
    expect(records.map((bytes) => decodeRecord(bytes).key)).toMatchObject([
      { tag: 'before' },
      { kind: 'policy' },
    ])
    const report = await ledger.apply([tagOf(carol), tagOf(bob)])
    expect(report).toMatchObject({ applied: 1, refused: { policy: 1 }, blame: undefined })
  })

  it('a guest writes nothing at its own node either, and is told what would do', async () => {
    const guest = await otherLedger()
    await guest.apply(await recordsOf(ledger, () => ledger.setPolicy(closed, { present: [alice.peerId] })))
    await expect(guest.publish([tagChange('team/app', 'v1', 'x')])).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
      message: expect.stringContaining('shoal member approve'),
    })
    expect(guest.permission(bob.peerId, 'team/app')).toBeUndefined()
  })

  it('one that is approved writes from then on, though its records came along in the same message', async () => {
    await ledger.setPolicy(closed, { present: [alice.peerId] })
    const other = await otherLedger()
    const records = await recordsOf(ledger, async () => {
      await ledger.publishAsAuthority([approve(carol.peerId, { name: 'host-c' })])
    })
    const policy = ledger.findRecord({ kind: 'policy' }) ?? new Uint8Array()
    expect(await other.apply([tagOf(carol), ...records, policy])).toMatchObject({ applied: 3, refused: {} })
    expect(other.roster().entries.get(carol.peerId)).toMatchObject({ name: 'host-c', sinceMs: clock.ms })
  })

  it('a banned member that comes with a new key is a guest', async () => {
    await ledger.setPolicy({ ...closed, banned: [bob.peerId] }, { present: [alice.peerId, bob.peerId] })
    expect(ledger.isBanned(bob.peerId)).toBe(true)
    expect(ledger.isGuest(carol.peerId)).toBe(true)
    expect(await ledger.apply([tagOf(bob), tagOf(carol)])).toMatchObject({
      applied: 0,
      refused: { policy: 2 },
    })
  })

  it('one that is gone for good is a guest where it comes, and what it wrote goes on to count', async () => {
    await ledger.setPolicy(closed, { present: [alice.peerId, bob.peerId] })
    await ledger.publishAsAuthority([{ kind: 'member', peer: bob.peerId, value: { goneMs: clock.ms } }])
    expect(ledger.isGuest(bob.peerId)).toBe(true)
    expect(await ledger.apply([tagOf(bob)])).toMatchObject({ applied: 1 })
  })
})

describe('what somebody says who may not', () => {
  it.each([
    ['an invitation', () => invite()],
    ['an approval', () => approve(eve.peerId)],
  ])('counts for nothing: %s', async (_name, change) => {
    await expect(ledger.publish([change()])).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
    const made = change()
    const body = (
      made.kind === 'invitation'
        ? { kind: 'invitation', key: made.id, time: [clock.ms, 0], value: made.value }
        : { kind: 'member', key: eve.peerId, time: [clock.ms, 0], value: { approvedMs: 1 } }
    ) as RecordBody
    const report = await ledger.apply([signRecord(body, bob).envelope.bytes])
    expect(report).toMatchObject({ applied: 0, refused: { policy: 1 }, blame: undefined })
    expect([ledger.roster().entries.size, ledger.roster().invitations.size]).toEqual([0, 0])
  })

  it('counts once the policy names it as an administrator, and is signed again when that is banned', async () => {
    await ledger.setPolicy(
      { ...closed, administrators: [bob.peerId] },
      { present: [alice.peerId, bob.peerId] },
    )
    const body: RecordBody = {
      kind: 'member',
      key: carol.peerId,
      time: [clock.ms, 0],
      value: { approvedMs: clock.ms },
    }
    await ledger.apply([signRecord(body, bob).envelope.bytes, tagOf(carol)])
    expect(isMember(carol)).toBe(true)
    const records = await recordsOf(ledger, () => ledger.setPolicy({ ...closed, banned: [bob.peerId] }))
    expect(records.map((bytes) => decodeRecord(bytes).key.kind)).toEqual(['member', 'policy'])
    expect(isMember(carol)).toBe(true)
    expect(await ledger.apply([tagOf(carol, 'v2')])).toMatchObject({ applied: 1 })
  })

  it('is put aside by what came later: an old approval that is given again does not undo that the node is gone', async () => {
    await ledger.setPolicy(closed, { present: [alice.peerId] })
    const [old = new Uint8Array()] = await recordsOf(ledger, () =>
      ledger.publishAsAuthority([approve(eve.peerId)]),
    )
    clock.ms += 1
    await ledger.publishAsAuthority([approve(eve.peerId, { goneMs: clock.ms })])
    expect(await ledger.apply([old])).toMatchObject({ applied: 0, known: 1 })
    expect(isMember(eve)).toBe(false)
  })
})

describe('an admission', () => {
  beforeEach(async () => {
    await ledger.setPolicy(closed, { present: [alice.peerId, bob.peerId] })
  })
  const invited = async (more: Parameters<typeof invite>[0] = {}): Promise<void> =>
    await ledger.publishAsAuthority([invite({ approvedMs: clock.ms, ...more })])

  it('by an invitation that carries approval makes a member, which may let in others', async () => {
    await invited({ uses: 2 })
    await ledger.apply([admission(carol, bob)])
    expect(ledger.roster().entries.get(carol.peerId)).toMatchObject({
      isApproved: true,
      invitation: id,
      name: 'host',
    })
    await ledger.apply([admission(dave, carol, clock.ms + 1)])
    expect([isMember(carol), isMember(dave)]).toEqual([true, true])
  })

  it('by one that carries none leaves the newcomer a guest', async () => {
    await ledger.publishAsAuthority([invite()])
    await ledger.apply([admission(carol, bob)])
    expect(isMember(carol)).toBe(false)
    expect(ledger.roster().invitations.get(id)?.admitted).toEqual([carol.peerId])
  })

  it('counts as often as the invitation has uses, the first ones, whatever came first here', async () => {
    await invited({ uses: 2 })
    const admissions = [
      admission(carol, bob, clock.ms + 3),
      admission(dave, bob, clock.ms + 1),
      admission(eve, bob, clock.ms + 2),
    ]
    for (const one of admissions) await ledger.apply([one])
    const other = await otherLedger()
    const rest = [ledger.findRecord({ kind: 'policy' }), ledger.findRecord({ kind: 'invitation', id })]
    await other.apply([...admissions.toReversed(), ...rest.flatMap((bytes) => bytes ?? [])])
    for (const at of [ledger, other])
      expect([carol, dave, eve].map((who) => isMember(who, at))).toEqual([false, true, true])
    expect((await fingerprintsOf(other)).total).toBe((await fingerprintsOf(ledger)).total)
  })

  it.each([
    ['it has expired', { expiresMs: 1_800_000_000_000 - 1 }],
    ['it was revoked', { revokedMs: 1_800_000_000_000 - 1 }],
  ])('lets nobody in after %s, and whom it let in before stays', async (_name, more) => {
    await invited({ ...more, uses: 5 })
    await ledger.apply([admission(carol, bob, clock.ms - 2), admission(dave, bob, clock.ms)])
    expect([isMember(carol), isMember(dave)]).toEqual([true, false])
  })

  it.each<[string, () => Uint8Array, object]>([
    ['of an invitation that nobody made', () => admission(carol, bob, clock.ms, identity(7)), { policy: 1 }],
    ['by a guest', () => admission(carol, eve), { policy: 1 }],
    ['with a proof that another key signed', forged, { signature: 1 }],
  ])('is refused %s', async (_name, make, refused) => {
    await invited()
    const report = await ledger.apply([make()])
    expect(report).toMatchObject({ applied: 0, refused })
    expect(isMember(carol)).toBe(false)
  })

  it('stands beside what another member says of the same node: none is put out, or let in twice, by a later word', async () => {
    await invited({ uses: 2, expiresMs: clock.ms + 5 })
    await ledger.apply([admission(carol, bob), admission(carol, alice, clock.ms + 1)])
    clock.ms += 10
    await ledger.apply([admission(carol, alice)])
    expect(isMember(carol)).toBe(true)
    await ledger.apply([admission(dave, bob, clock.ms - 6)])
    expect(ledger.roster().invitations.get(id)?.admitted).toEqual([carol.peerId, dave.peerId])
  })

  it('is its author’s: nobody writes another’s', () => {
    const value = { proof: proveInvitation(carol.peerId, key) }
    const named = `${id}/${carol.peerId}/${alice.peerId}`
    const body: RecordBody = { kind: 'admission', key: named, time: [clock.ms, 0], value }
    expect(() => signRecord(body, bob)).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  })

  it('is no record where its proof is about another node', () => {
    const value = { proof: proveInvitation(carol.peerId, key) }
    const body: RecordBody = {
      kind: 'admission',
      key: `${id}/${dave.peerId}/${bob.peerId}`,
      time: [clock.ms, 0],
      value,
    }
    expect(() => signRecord(body, bob)).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  })

  it('by a member that is banned later is signed again, and goes on to count', async () => {
    await invited()
    await ledger.apply([admission(carol, bob)])
    await ledger.setPolicy(
      { ...closed, banned: [bob.peerId] },
      { drop: { author: bob.peerId, keeps: () => false } },
    )
    expect(isMember(carol)).toBe(true)
  })
})

it('who has one invitation, and made up thousands that came by it, keeps nobody out who has another', () => {
  const book = new RosterBook()
  const record = decodeRecord(admission(carol, bob))
  const came = (invitation: string, n: number): SignedRecord => ({
    ...record,
    key: { kind: 'admission', invitation, peer: `peer ${n}`, by: bob.peerId },
  })
  for (let n = 0; n < 20_000; n++) book.put(came('stolen', n))
  for (let n = 0; n < 500; n++) book.put(came('honest', n))
  for (let n = 20_000; n < 30_000; n++) book.put(came('stolen', n))
  const kept = Map.groupBy(book.records(), ({ key }) => key.kind === 'admission' && key.invitation)
  expect(kept.get('honest')).toHaveLength(500)
  expect(kept.get('stolen')?.length).toBeLessThanOrEqual(8192 - 500)
})

function forged(): Uint8Array {
  const proof = proveInvitation(carol.peerId, key).map((byte, at) => (at === 40 ? byte ^ 1 : byte))
  const body: RecordBody = {
    kind: 'admission',
    key: `${id}/${carol.peerId}/${bob.peerId}`,
    time: [clock.ms, 0],
    value: { proof },
  }
  return signRecord(body, bob).envelope.bytes
}
