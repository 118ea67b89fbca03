import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodeRecord, type RecordBody, sealRecord, signRecord } from '../../src/records/record.ts'
import { type Ledger, type Spread, spreadRecords, type Verdict } from '../../src/records/records.ts'
import { type Identity, MalformedError } from '../../src/wire/wire.ts'
import { spreadMessage } from '../hostile/records.ts'
import { alice, authority, bob, digestOf, ManualClock, mediaType, testLedger } from './fixture.ts'

const now = 1_800_000_000_000
const minute = 60_000
const authors = [alice, bob, authority]
const day = 24 * 60 * minute
const times = [-40 * day, -minute, 0, 4 * minute, 6 * minute, 12 * minute, 9000 * day].map((ms) => now + ms)

const tag = fc
  .record({
    author: fc.constantFrom(...authors),
    name: fc.constantFrom('a', 'b'),
    ms: fc.constantFrom(...times),
    content: fc.constantFrom('one', 'two', null),
    origin: fc.boolean(),
  })
  .map(({ author, name, ms, content, origin }) => {
    const value = content === null ? null : { digest: digestOf(content), mediaType, size: 3 }
    const body: RecordBody = { kind: 'tag', key: `team/app:${name}`, time: [ms, 0], value }
    return sign(origin ? { ...body, origin: alice.publicKey } : body, author)
  })
const policy = fc
  .record({
    author: fc.constantFrom(authority, bob),
    ms: fc.constantFrom(...times),
    banned: fc.subarray([alice.publicKey, bob.publicKey]),
    immutable: fc.subarray([{ repositories: 'team/**', tags: '*', since: now - minute }]),
  })
  .map(({ author, ms, banned, immutable }) =>
    sign({ kind: 'policy', key: '', time: [ms, 0], value: { rules: [], immutable, banned } }, author),
  )
const broken = tag.map((record) => record.with(40, (record[40] ?? 0) ^ 1))
const sealed = fc
  .record({
    original: fc.oneof(tag, broken),
    sealer: fc.constantFrom(...authors),
    ms: fc.constantFrom(...times),
  })
  .map(({ original, sealer, ms }) => sealOf(original, sealer, ms))
const record = fc.oneof(
  { weight: 2, arbitrary: sealed },
  { weight: 6, arbitrary: tag },
  { weight: 2, arbitrary: policy },
  { weight: 1, arbitrary: broken },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
)
const records = fc.array(record, { maxLength: 6 })
const skewMs = fc.constantFrom(-5 * minute, 0, 5 * minute, 8000 * day)

function sign(body: RecordBody, author: Identity): Uint8Array {
  return signRecord(body, author).envelope.bytes
}

/** What cannot be sealed is left as it is. */
function sealOf(original: Uint8Array, sealer: Identity, ms: number): Uint8Array {
  try {
    return sealRecord(decodeRecord(original), ms, sealer).envelope.bytes
  } catch (error) {
    if (error instanceof MalformedError) return original
    throw error
  }
}

/** What a node that knows these records says of the message. */
async function verdictOf(known: Uint8Array[], aheadMs: number, message: Uint8Array): Promise<Verdict> {
  await using node = await testLedger({ clock: new ManualClock(now + aheadMs) })
  for (const one of known) await node.ledger.apply([one])
  return await judged(node.ledger, message)
}

async function judged(ledger: Ledger, message: Uint8Array): Promise<Verdict> {
  const handlers: ((message: Uint8Array, from: string) => Promise<Verdict>)[] = []
  const spread: Spread = {
    publish: async () => undefined,
    onMessage(handler) {
      handlers.push(handler)
      return () => undefined
    },
  }
  await using _spreading = spreadRecords({ ledger, spread })
  return (await handlers[0]?.(message, 'relayer')) ?? 'ignore'
}

it('what one node passes on no other holds against it, whatever either knows and whenever it is there', async () => {
  await fc.assert(
    fc.asyncProperty(records, records, skewMs, records, async (near, far, aheadMs, told) => {
      const message = spreadMessage(told)
      if ((await verdictOf(near, aheadMs, message)) !== 'accept') return
      expect(await verdictOf(far, 0, message)).not.toBe('reject')
    }),
    { numRuns: 50 },
  )
}, 60_000)
