/** What a large body from an upstream holds of memory while it comes. */
import { Readable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import type { Availability } from '../../src/upstream/availability.ts'
import { readParts } from '../../src/upstream/bodies.ts'

setFlagsFromString('--expose-gc')
globalThis.gc = runInNewContext('gc')

const mib = 2 ** 20
const partBytes = 64 * 1024

it('holds little of a large body that was read', async () => {
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const availability = { trouble: () => new Error('trouble') } as unknown as Availability
  const answer = {
    status: 200,
    headers: {},
    url: new URL('https://up.test'),
    body: Readable.from(partsOf(192 * mib)),
  }
  for await (const _ of readParts(answer, availability, {}))
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  expect(most / mib).toBeLessThan(40)
})

/** Each in memory of its own, as from a socket. */
function* partsOf(bytes: number): Generator<Buffer> {
  for (let made = 0; made < bytes; made += partBytes) yield Buffer.allocUnsafeSlow(partBytes)
}
