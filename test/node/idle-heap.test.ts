/** When a node that rests gives memory back. */
import { expect, it } from 'vitest'
import { openIdleHeap } from '../../node/idle-heap.ts'
import { silentLogger } from '../../src/base/base.ts'

const mib = 1024 * 1024

/** The bytes at each look, with how busy the time before it was; what each collection leaves; which looks collected. */
async function looks(
  rounds: { mib: number; busy: number }[],
  leavesMib: number,
  rest: (round: number) => boolean = () => true,
): Promise<number[]> {
  const collected: number[] = []
  const over = Promise.withResolvers<void>()
  let round = -1
  let resident = 0
  const clock = {
    now: () => 0,
    sleep: async (_ms: number, { signal }: { signal?: AbortSignal } = {}) => {
      const next = rounds[++round]
      if (next !== undefined) {
        resident = next.mib
        return
      }
      over.resolve()
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    },
  }
  const heap = {
    residentBytes: () => resident * mib,
    utilization: () => rounds[round]?.busy ?? 0,
    collect() {
      collected.push(round)
      resident = leavesMib
    },
  }
  await using _idle = openIdleHeap(heap, {
    rest: () => rest(round),
    clock,
    logger: silentLogger,
    random: () => 0.5,
  })
  await over.promise
  return collected
}

it('gives memory back once the node rests, and not while it works', async () => {
  expect(
    await looks(
      [130, 190, 190].map((mib, at) => ({ mib, busy: at === 2 ? 0 : 0.5 })),
      100,
    ),
  ).toEqual([2])
})

it('does not go through the heap again until there is something to win', async () => {
  const rounds = [140, 101, 107, 120, 101].map((mib) => ({ mib, busy: 0.01 }))
  expect(await looks(rounds, 100)).toEqual([0, 3])
})

it('lets go of what is kept for the next load whenever it rests, before it collects', async () => {
  const rested: number[] = []
  const rounds = [0.5, 0.01, 0.01].map((busy) => ({ mib: 190, busy }))
  expect(await looks(rounds, 190, (round) => rested.push(round) > 0)).toEqual([1])
  expect(rested).toEqual([1, 2])
})

it('holds nobody up whose pull or push is under way, however slow it is', async () => {
  const rounds = [0.01, 0.01].map((busy) => ({ mib: 190, busy }))
  expect(await looks(rounds, 100, (round) => round > 0)).toEqual([1])
})
