/** What a downloader may have made for it at once. */
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Background, Semaphore, silentLogger } from '../../../src/base/base.ts'
import { Bitfield } from '../../../src/exchange/protocol/bitfield.ts'
import type { Answer } from '../../../src/exchange/protocol/messages.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import type { ListMaking } from '../../../src/exchange/seeding/list-making.ts'
import { SeededWant, type SeededWantContext } from '../../../src/exchange/seeding/seeded-want.ts'
import { digestOf, wanted } from '../lab/fixture.ts'

const size = 32 * 1024 * 1024

it('has no more lists made for one downloader than it may fetch by, and none for what it has let go or may not read any more', async () => {
  await using background = new Background('the test', silentLogger)
  const making: ListMaking[] = []
  const left: ListMaking[] = []
  const answers: Answer[] = []
  const answered: PromiseWithResolvers<void>[] = []
  const forbidden = new Set<SeededWant>()
  const held = Bitfield.full(layoutOf(size).count)
  const context = {
    background,
    inventory: {
      watch: () => () => undefined,
      partialList: () => undefined,
      find: async (want: SeededWant) =>
        forbidden.has(want) ? undefined : { size, complete: true, held, isOrigin: false },
    },
    lists: {
      follow() {
        const made = { leave: () => void left.push(made) } as unknown as ListMaking
        making.push(made)
        return made
      },
      listFrom: async () => ({ after: { pieces: 0 }, bytes: new Uint8Array(10) }),
    },
    listing: new Semaphore(4),
    following: new Set<ListMaking>(),
    sender: { give: async () => answered.shift()?.resolve() },
    say: (answer: Answer) => void answers.push(answer),
    hasEnded: () => false,
    onItem: () => undefined,
    onGone: () => undefined,
    onAnswering: () => undefined,
    onNews: () => undefined,
    onListFailed: () => undefined,
  } as unknown as SeededWantContext
  const ask = async (want: SeededWant): Promise<void> => {
    const answer = Promise.withResolvers<void>()
    answered.push(answer)
    want.list(0)
    await answer.promise
    // It is over once what gave it has returned.
    await setImmediate()
  }
  const wants = Array.from({ length: 17 }, (_, id) => {
    return new SeededWant(id, wanted(digestOf(Buffer.from(`blob ${id}`))), context)
  })
  for (const want of wants) {
    await want.refresh()
    await ask(want)
  }
  expect(making).toHaveLength(16)
  expect(answers.at(-1)).toEqual({ type: 'no-list', id: 16 })
  wants[3]?.close()
  expect(left).toEqual([making[3]])
  const [last] = wants.slice(-1)
  if (last === undefined) throw new RangeError('no want')
  await ask(last)
  expect(making).toHaveLength(17)
  const [first] = wants
  if (first === undefined) throw new RangeError('no want')
  forbidden.add(first)
  await first.refresh()
  expect(left).toEqual([making[3], making[0]])
  for (const want of wants) want.close()
  expect(left).toHaveLength(17)
})
