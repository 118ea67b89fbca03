/** How much memory answers hold whose clients don't take them. */
import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeldAnswers } from '../../src/http/held-answers.ts'
import { openApi } from './harness.ts'

interface Client extends EventEmitter {
  isCut: boolean
  closed: boolean
}

function client(): Client {
  const made = Object.assign(new EventEmitter(), {
    isCut: false,
    closed: false,
    destroy: () => {
      made.isCut = true
      made.emit('close')
    },
  })
  return made
}

const asResponse = (made: Client): ServerResponse => made as unknown as ServerResponse
const bytesOf = (length: number): Uint8Array => new Uint8Array(length)

describe('answers in memory', () => {
  const limits = { budgetBytes: 100, smallBytes: 10, placeMs: 1000 }

  it('hold no more than their budget, and make room when they are taken', () => {
    const answers = new HeldAnswers({ limits, nowMs: () => 0 })
    const first = client()
    expect(answers.enter(asResponse(first), bytesOf(60))).toBe(true)
    expect(answers.enter(asResponse(client()), bytesOf(60))).toBe(false)
    expect(answers.enter(asResponse(client()), bytesOf(10))).toBe(true)
    first.emit('close')
    expect(answers.enter(asResponse(client()), bytesOf(60))).toBe(true)
    expect(answers.heldBytes).toBe(60)
  })

  it('are cut where their client takes long and another wants the room', () => {
    let nowMs = 0
    const answers = new HeldAnswers({ limits, nowMs: () => nowMs })
    const [slow, later] = [client(), client()]
    answers.enter(asResponse(slow), bytesOf(60))
    nowMs = 500
    answers.enter(asResponse(later), bytesOf(40))
    nowMs = 1000
    expect(answers.enter(asResponse(client()), bytesOf(50))).toBe(true)
    expect([slow.isCut, later.isCut]).toEqual([true, false])
  })

  it('of the same bytes count once', () => {
    const answers = new HeldAnswers({ limits, nowMs: () => 0 })
    const bytes = bytesOf(60)
    const clients = Array.from({ length: 50 }, client)
    expect(clients.map((each) => answers.enter(asResponse(each), bytes))).not.toContain(false)
    for (const each of clients) each.emit('close')
    expect(answers.heldBytes).toBe(0)
  })

  it('of a client that left before are not held', () => {
    const answers = new HeldAnswers({ limits, nowMs: () => 0 })
    answers.enter(asResponse(Object.assign(client(), { closed: true })), bytesOf(60))
    expect(answers.heldBytes).toBe(0)
  })

  it('are within the budget after any arrivals and departures, and a larger one is sent alone', () => {
    const step = fc.record({
      length: fc.integer({ min: 0, max: 150 }),
      waitMs: fc.nat(1500),
      leaves: fc.nat(9),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        let nowMs = 0
        const answers = new HeldAnswers({ limits, nowMs: () => nowMs })
        const here: { made: Client; length: number }[] = []
        for (const { length, waitMs, leaves } of steps) {
          nowMs += waitMs
          here.splice(leaves, 1)[0]?.made.emit('close')
          const made = client()
          if (answers.enter(asResponse(made), bytesOf(length))) here.push({ made, length })
          const held = here.filter((each) => !each.made.isCut && each.length > limits.smallBytes)
          expect(answers.heldBytes).toBe(held.reduce((sum, each) => sum + each.length, 0))
          if (held.length > 1) expect(answers.heldBytes).toBeLessThanOrEqual(limits.budgetBytes)
        }
      }),
    )
  })
})

it('a large manifest is refused for now where too many are being sent, and a small one is not', async () => {
  const answers = new HeldAnswers({ limits: { budgetBytes: 200 * 1024 }, nowMs: () => 0 })
  await using api = await openApi({ answers })
  const { digest } = await api.pushImage('team/app', 'small')
  const large = await api.pushImage('team/app', 'large', {
    extra: { annotations: { a: 'x'.repeat(100 * 1024) } },
  })
  const stalled = client()
  answers.enter(asResponse(stalled), bytesOf(150 * 1024))
  const refused = await api.call('GET', '/v2/team/app/manifests/large')
  expect([refused.status, refused.headers['retry-after']]).toEqual([429, '15'])
  expect(refused.json()).toMatchObject({ errors: [{ code: 'TOOMANYREQUESTS' }] })
  expect((await api.call('HEAD', '/v2/team/app/manifests/large')).status).toBe(200)
  expect((await api.call('GET', `/v2/team/app/manifests/${digest}`)).status).toBe(200)
  stalled.emit('close')
  const answer = await api.call('GET', '/v2/team/app/manifests/large')
  expect([answer.status, answer.body.equals(large.bytes)]).toEqual([200, true])
})
