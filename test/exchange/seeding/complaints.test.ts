/** What downloaders that call pieces wrong may have read for it. */
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Background, silentLogger } from '../../../src/base/base.ts'
import { Complaints, type ComplaintsOptions } from '../../../src/exchange/seeding/complaints.ts'
import type { Digest } from '../../../src/oci/oci.ts'
import { digestOf, wanted } from '../lab/fixture.ts'

it('have four lists made at once, of however many blobs, and the next as soon as one is made', async () => {
  await using background = new Background('the test', silentLogger)
  const making: { digest: Digest; end: () => void }[] = []
  const options = {
    background,
    inventory: { partialList: () => undefined, find: async () => ({ size: 3 }) },
    lists: {
      async get(digest: Digest) {
        const made = Promise.withResolvers<void>()
        making.push({ digest, end: made.resolve })
        await made.promise
        throw new Error('it was removed')
      },
    },
    clock: { now: () => 0 },
    logger: silentLogger,
  }
  const complaints = new Complaints(options as unknown as ComplaintsOptions)
  const complain = async (blob: number): Promise<void> => {
    complaints.hear('a peer', wanted(digestOf(Buffer.from(`blob ${blob}`))), 0)
    await setImmediate()
  }
  for (let blob = 0; blob < 20; blob++) await complain(blob)
  expect(making).toHaveLength(4)
  making[0]?.end()
  await setImmediate()
  await complain(20)
  expect(making.at(-1)?.digest).toBe(digestOf(Buffer.from('blob 20')))
  expect(making).toHaveLength(5)
  for (const { end } of making) end()
})
