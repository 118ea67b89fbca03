/** What is pushed before the node can have copies made of it. */
import { beforeEach, expect, it } from 'vitest'
import { type LateCopies, lateCopies } from '../../node/late-copies.ts'
import { parseRepository } from '../../src/oci/oci.ts'
import type { Policy } from '../../src/records/records.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import { digestOf } from '../records/fixture.ts'

const image = { repository: parseRepository('team/app'), digest: digestOf('it') }
const { signal } = new AbortController()
const asIs = { copies: undefined, signal }
let clock: SteppedClock
let policy: Policy

beforeEach(() => {
  clock = new SteppedClock()
  policy = { rules: [], immutable: [], sealers: [], banned: [] }
})

function opened(ack: number): LateCopies {
  return lateCopies({ policy: () => policy, ack, withinMs: 30_000, clock })
}

it('waits for what makes them, which has the rest of the time', async () => {
  const late = opened(2)
  const waiting = late.secured(image, asIs)
  await clock.pass(10_000)
  const asked: unknown[] = []
  late.arrive({
    async secured(...question) {
      asked.push(question)
      return { held: 2, wanted: 2 }
    },
  })
  expect(await waiting).toEqual({ held: 2, wanted: 2 })
  expect(asked).toEqual([[image, { ...asIs, withinMs: 20_000 }]])
  expect(clock.sleepers).toBe(0)
})

it.each([
  ['the node', 2, {}, undefined],
  ['the client', 1, {}, 2],
  ['a rule', 1, { placement: [{ repositories: '**', copies: 2, ack: 2 }] }, undefined],
] as const)('says that there is no copy where none can be made in time and %s wants one', async (...row) => {
  const [, ack, rules, copies] = row
  policy = { ...policy, ...structuredClone(rules) } as Policy
  const waiting = opened(ack).secured(image, { copies, signal })
  await clock.pass(30_000)
  expect(await waiting).toEqual({ held: 1, wanted: 2 })
})

it('keeps no push waiting that waits for no copies', async () => {
  expect(await opened(1).secured(image, asIs)).toBeUndefined()
  expect(await opened(2).secured(image, { copies: 1, signal })).toBeUndefined()
})
