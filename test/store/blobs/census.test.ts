import { expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/base.ts'
import type { Digest } from '../../../src/oci/oci.ts'
import { Census } from '../../../src/store/blobs/census.ts'
import { OwnedWork } from '../../../src/store/links/owned-work.ts'

/** A store of `sizes`, whose count takes `tookMs`; `counted` resolves at the end of each. */
function open(sizes: number[], { tookMs = 0 } = {}) {
  let nowMs = 0
  let ended = Promise.withResolvers<void>()
  let counts = 0
  const work = new OwnedWork()
  const census = new Census({
    async *list() {
      counts++
      for (const size of sizes) yield { digest: `sha256:${size}` as Digest, size }
      nowMs += tookMs
      setImmediate(() => {
        ended.resolve()
        ended = Promise.withResolvers()
      })
    },
    work,
    clock: { now: () => nowMs, sleep: async () => undefined },
    logger: silentLogger,
  })
  return {
    census,
    work,
    sizes,
    counted: () => ended.promise,
    counts: () => counts,
    pass: (ms: number) => {
      nowMs += ms
    },
  }
}

it('counts when it is asked, once at a time, and says nothing before the first count is over', async () => {
  const store = open([1, 2, 3])
  expect(store.counts()).toBe(0)
  const counted = store.counted()
  expect(store.census.totals()).toBeUndefined()
  expect(store.census.totals()).toBeUndefined()
  await counted
  expect(store.census.totals()).toEqual({ blobs: 3, bytes: 6 })
  expect(store.counts()).toBe(1)
})

it('counts again after a minute, or after a hundred times as long as it took', async () => {
  const store = open([1], { tookMs: 5000 })
  let counted = store.counted()
  store.census.totals()
  await counted
  store.sizes.push(10)
  store.pass(499_000)
  expect(store.census.totals()).toEqual({ blobs: 1, bytes: 1 })
  expect(store.counts()).toBe(1)
  store.pass(1000)
  counted = store.counted()
  expect(store.census.totals()).toEqual({ blobs: 1, bytes: 1 })
  await counted
  expect(store.census.totals()).toEqual({ blobs: 2, bytes: 11 })
})

it('is over with the store', async () => {
  const { census, work } = open([1])
  await work[Symbol.asyncDispose]()
  expect(census.totals()).toBeUndefined()
})
