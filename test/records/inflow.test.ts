import { describe, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { type RecordBody, signRecord } from '../../src/records/record.ts'
import { type Identity, seal } from '../../src/wire/wire.ts'
import { alice, authority, bob, digestOf, ManualClock, mediaType, testLedger } from './fixture.ts'

const now = 1_800_000_000_000
const minute = 60_000
const body: RecordBody = {
  kind: 'tag',
  key: 'team/app:v1',
  time: [now, 0],
  value: { digest: digestOf('one'), mediaType, size: 3 },
}
const policy: RecordBody = {
  kind: 'policy',
  key: '',
  time: [now, 0],
  value: { rules: [], immutable: [], banned: [] },
}
const signed = (given: RecordBody, author: Identity = bob): Uint8Array =>
  signRecord(given, author).envelope.bytes
const at = (ms: number): Uint8Array => signed({ ...body, time: [ms, 0] })

function broken(): Uint8Array {
  const bytes = signed(body).slice()
  bytes[40] = (bytes[40] ?? 0) ^ 1
  return bytes
}

/** Bob's record under Alice's name. */
function stolen(): Uint8Array {
  return Buffer.concat([alice.publicKey, signed(body).subarray(32)])
}

describe('a record from a peer is refused', () => {
  it.each<[string, Uint8Array, string, boolean]>([
    ['when it is nothing', new Uint8Array(), 'malformed', true],
    ['when it is noise', new Uint8Array(300).fill(7), 'malformed', true],
    ['when its signature is wrong', broken(), 'signature', true],
    ['when it is under another name', stolen(), 'signature', true],
    [
      'when it was signed for something else',
      seal('shoal-other-v1\0', signRecord(body, bob).envelope.body, bob),
      'signature',
      true,
    ],
    ['when it is a policy that the authority did not sign', signed(policy), 'forged', true],
    ['when it claims another origin', signed({ ...body, origin: alice.publicKey }), 'policy', false],
    ['when it is 6 minutes ahead', at(now + 6 * minute), 'ahead', false],
    ['when it is years ahead', at(now + 1_000_000 * minute), 'ahead', false],
    [
      'when it is an old deletion of nothing',
      signed({ ...body, value: null, time: [now - 31 * 24 * 60 * minute, 0] }),
      'expired',
      false,
    ],
  ])('%s', async (_, record, reason, blamed) => {
    await using node = await testLedger({ clock: new ManualClock(now) })
    const before = await node.ledger.apply([])
    expect(before).toEqual({
      applied: 0,
      known: 0,
      beaten: [],
      refused: {},
      delayedBytes: 0,
      blame: undefined,
    })
    const report = await node.ledger.apply([record])
    expect(report).toEqual({
      applied: 0,
      known: 0,
      beaten: [],
      refused: { [reason]: 1 },
      delayedBytes: 0,
      blame: blamed ? reason : undefined,
    })
    expect(await node.ledger.findTag(parseRepository('team/app'), parseTag('v1'))).toBeUndefined()
  })

  it('beside others that are not', async () => {
    await using node = await testLedger({ clock: new ManualClock(now) })
    const report = await node.ledger.apply([broken(), at(now + 5 * minute), signed(policy, authority)])
    expect(report).toMatchObject({ applied: 2, refused: { signature: 1 } })
  })

  it('and nothing that comes long after it is looked at', async () => {
    await using node = await testLedger({ clock: new ManualClock(now) })
    const many = Array.from({ length: 1000 }, (_, n) => signed({ ...body, key: `team/app:t${n}` }))
    const report = await node.ledger.apply([broken(), ...many])
    expect(report.applied).toBeLessThan(200)
    expect(report.blame).toBe('signature')
  })

  it('when the policy does not permit it, without blame, and a policy in the same batch counts', async () => {
    await using node = await testLedger({ clock: new ManualClock(now) })
    const rules = [{ repositories: 'team/**', authors: [alice.publicKey] }]
    const closed = signed({ ...policy, value: { rules, immutable: [], banned: [] } }, authority)
    const report = await node.ledger.apply([signed(body, bob), signed(body, alice), closed])
    expect(report).toEqual({
      applied: 2,
      known: 0,
      beaten: [],
      refused: { policy: 1 },
      delayedBytes: 0,
      blame: undefined,
    })
  })
})

it('verifies what loses as well: who hands it on beside what is new answers for all of it', async () => {
  await using node = await testLedger({ clock: new ManualClock(now) })
  await node.ledger.apply([signed(body)])
  const older = signed({ ...body, time: [now - 1, 0] })
  expect(await node.ledger.apply([older])).toMatchObject({ known: 1, refused: {}, blame: undefined })
  const forged = older.with(40, (older[40] ?? 0) ^ 1)
  expect(await node.ledger.apply([forged])).toMatchObject({ known: 0, blame: 'signature' })
})
