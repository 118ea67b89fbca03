/** The rounds of the housekeeping. */
import { expect, it } from 'vitest'
import { openJanitor } from '../../node/janitor.ts'
import type { LocalNode } from '../../node/local-node.ts'
import { silentLogger } from '../../src/base/base.ts'
import { StoreFullError } from '../../src/store/store.ts'

it('collects also when what was given up cannot be dropped, as on a full disk, and takes that for no error', async () => {
  const said: string[] = []
  const say = (_: object, message: string): void => void said.push(message)
  const refuse = async (): Promise<never> => {
    throw new StoreFullError('the disk is full')
  }
  const node = {
    settings: { 'gc-interval': 1000 },
    store: { uploads: { expire: refuse }, partials: { list: refuse } },
    collect: async () => ({ blobs: 1, manifests: 0, links: 0, bytes: 10 }),
  } as unknown as LocalNode
  const secondSleep = Promise.withResolvers<void>()
  let sleeps = 0
  const clock = {
    now: () => 0,
    sleep: async (_ms: number, { signal }: { signal?: AbortSignal } = {}) => {
      sleeps++
      if (sleeps === 1) return
      secondSleep.resolve()
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    },
  }
  await using _janitor = openJanitor(node, {
    keeper: { isWanted: () => false },
    clock,
    logger: { ...silentLogger, info: say, error: say },
  })
  await secondSleep.promise
  expect(said).toEqual(['collected garbage'])
})
