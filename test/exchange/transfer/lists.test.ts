/** What becomes of a download whose pieces make up another blob. */
import { expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/base.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import type { Attempt } from '../../../src/exchange/transfer/attempt.ts'
import { Candidates } from '../../../src/exchange/transfer/candidates.ts'
import { Lists, type ListsOptions } from '../../../src/exchange/transfer/lists.ts'
import type { Sources } from '../../../src/exchange/transfer/sources.ts'
import { TransferState } from '../../../src/exchange/transfer/transfer-state.ts'
import { OciError } from '../../../src/oci/oci.ts'
import { digestOf, wanted } from '../lab/fixture.ts'

it('is at none that made up another blob, while that is still being dealt with, and given up a while after the second', async () => {
  const digest = digestOf(new Uint8Array(3))
  const state = new TransferState(wanted(digest), 0)
  const seen: string[] = []
  const partial = {
    finish: async () => {
      seen.push(state.now.name)
      throw new OciError('DIGEST_INVALID', 'it is another blob')
    },
  }
  const stored = {
    drop: async () => {
      seen.push(state.now.name)
    },
  }
  let nowMs = 0
  const options = { lists: stored, clock: { now: () => nowMs }, logger: silentLogger }
  const sources = { holding: () => [], search: { isAsked: true } } as unknown as Sources
  const lists = new Lists(state, sources, options as unknown as ListsOptions)
  const attempt = () =>
    ({ candidate: new Candidates(digest).begin(layoutOf(3)), partial }) as unknown as Attempt
  // Nobody vouched for either: the second is one too many.
  expect(await lists.prove(attempt())).toBe(false)
  expect(await lists.prove(attempt())).toBe(false)
  const next = lists.next(new AbortController().signal)
  nowMs = 1000
  state.news()
  await expect(next).rejects.toMatchObject({ code: 'BLOB_UNPROVEN' })
  expect(seen).toEqual(['proving', 'searching', 'proving', 'searching'])
})
