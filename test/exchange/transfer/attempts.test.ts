/** Downloads one after another, when the pieces of one make up another blob. */
import { expect, it } from 'vitest'
import { noMetrics, silentLogger } from '../../../src/base/base.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import { Attempts, type AttemptsOptions } from '../../../src/exchange/transfer/attempts.ts'
import { ListCandidates } from '../../../src/exchange/transfer/list-candidates.ts'
import type { ListSearch } from '../../../src/exchange/transfer/list-search.ts'
import { MemoryBudget } from '../../../src/exchange/transfer/memory-budget.ts'
import type { OriginPieces } from '../../../src/exchange/transfer/origin-pieces.ts'
import type { Sources } from '../../../src/exchange/transfer/sources.ts'
import { TransferState } from '../../../src/exchange/transfer/transfer-state.ts'
import { OciError } from '../../../src/oci/oci.ts'
import { digestOf, wanted } from '../lab/fixture.ts'

it('is at none that made up another blob, while that is still being dealt with', async () => {
  const digest = digestOf(new Uint8Array(3))
  const state = new TransferState(wanted(digest), 0)
  state.origin = {} as OriginPieces
  const candidates = new ListCandidates(digest)
  candidates.begin(layoutOf(3))
  const search = {
    candidates,
    asking: { ask: () => undefined },
    convict: (candidate: never) => candidates.remove(candidate),
    unproven: 2,
  }
  const seen: string[] = []
  const options = {
    partials: {
      open: async (plan: object) => ({
        plan,
        has: () => true,
        finish: async () => {
          seen.push(state.now.name)
          throw new OciError('DIGEST_INVALID', 'it is another blob')
        },
        [Symbol.asyncDispose]: async () => undefined,
      }),
    },
    lists: {
      drop: async () => {
        seen.push(state.now.name)
      },
    },
    inventory: { begin: () => undefined, end: () => undefined },
    memory: new MemoryBudget(1024 * 1024),
    limits: {},
    providers: { announce: () => undefined },
    clock: { now: () => 0, sleep: async () => undefined },
    random: () => 0,
    logger: silentLogger,
    metrics: noMetrics,
  }
  const sources = { holding: () => [], fellows: () => [], isFar: () => false }
  const attempts = new Attempts(
    state,
    sources as unknown as Sources,
    search as unknown as ListSearch,
    options as unknown as AttemptsOptions,
  )
  await expect(attempts.run(new AbortController().signal)).rejects.toMatchObject({ code: 'BLOB_UNPROVEN' })
  expect(seen).toEqual(['proving', 'searching'])
})
