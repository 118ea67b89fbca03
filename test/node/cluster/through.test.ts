import { expect, it } from 'vitest'
import { openThrough } from '../../../node/cluster/through.ts'
import { digestBytes, parseRepository } from '../../../src/oci/oci.ts'
import type { CopyAnswer } from '../../../src/placement/placement.ts'

const repository = parseRepository('team/app')
const digest = digestBytes(Buffer.from('a layer'))

function scene(says: Record<string, CopyAnswer | 'silence'>) {
  const clock = { nowMs: 0, now: () => clock.nowMs, sleep: async () => undefined }
  const state = { asked: [] as string[], areMissing: true, isNamed: true, clock }
  const through = openThrough({
    peers: {
      ask: async (peer, { mode }) => {
        state.asked.push(`${peer} ${mode}`)
        const said = says[peer]
        if (said === undefined || said === 'silence') throw new Error('it does not answer')
        return [said]
      },
    },
    connected: () => Object.keys(says),
    areMissing: async () => state.areMissing,
    isNamed: async () => state.isNamed,
    random: () => 0,
    clock,
  })
  return { state, ask: () => through.ask(repository, digest), through }
}

it('has another look where one of those that it reaches has it, or brings it', async () => {
  expect(await scene({ a: 'silence', b: 'missing', c: 'held' }).ask()).toBe(true)
  expect(await scene({ a: 'coming' }).ask()).toBe(true)
  expect(await scene({ a: 'refused', b: 'missing' }).ask()).toBe(false)
  expect(await scene({}).ask()).toBe(false)
})

it('asks nobody where no member is missing, or no record names it', async () => {
  const { state, ask } = scene({ a: 'held' })
  state.areMissing = false
  expect(await ask()).toBe(false)
  state.areMissing = true
  state.isNamed = false
  expect(await ask()).toBe(false)
  expect(state.asked).toEqual([])
})

it('asks three at most, and not again so soon after it was in vain', async () => {
  const { state, ask } = scene({ a: 'missing', b: 'missing', c: 'missing', d: 'held' })
  expect([await ask(), await ask()]).toEqual([false, false])
  expect(state.asked).toEqual(['a through', 'b through', 'c through'])
  state.clock.nowMs += 10_000
  await ask()
  expect(state.asked).toHaveLength(6)
})

it('asks nobody for what it brings for somebody else, or they would ask each other in turn', async () => {
  const { state, ask, through } = scene({ a: 'held' })
  await through.without(digest, async () => {
    await through.without(digest, async () => undefined)
    expect(await ask()).toBe(false)
  })
  expect(state.asked).toEqual([])
  expect(await ask()).toBe(true)
})
