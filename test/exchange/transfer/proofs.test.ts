/** What becomes of a download whose pieces make up another blob. */
import { expect, it } from 'vitest'
import { silentLogger } from '../../../src/base/base.ts'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import type { Attempt } from '../../../src/exchange/transfer/attempt.ts'
import { ListCandidates } from '../../../src/exchange/transfer/list-candidates.ts'
import type { ListSearch } from '../../../src/exchange/transfer/list-search.ts'
import { Proofs, type ProofsOptions } from '../../../src/exchange/transfer/proofs.ts'
import { TransferState } from '../../../src/exchange/transfer/transfer-state.ts'
import { OciError } from '../../../src/oci/oci.ts'
import { digestOf, wanted } from '../lab/fixture.ts'

it('is at none that made up another blob, while that is still being dealt with', async () => {
  const digest = digestOf(new Uint8Array(3))
  const state = new TransferState(wanted(digest), 0)
  const seen: string[] = []
  const partial = {
    finish: async () => {
      seen.push(state.now.name)
      throw new OciError('DIGEST_INVALID', 'it is another blob')
    },
  }
  const lists = {
    drop: async () => {
      seen.push(state.now.name)
    },
  }
  const clock = { now: () => 0, sleep: async () => undefined }
  const search = { convict: () => undefined, unproven: 2 }
  const options = { lists, clock, logger: silentLogger }
  const proofs = new Proofs(state, search as unknown as ListSearch, options as unknown as ProofsOptions)
  const candidate = new ListCandidates(digest).begin(layoutOf(3))
  const attempt = { candidate, partial } as unknown as Attempt
  await expect(proofs.prove(attempt)).rejects.toMatchObject({ code: 'BLOB_UNPROVEN' })
  expect(seen).toEqual(['proving', 'searching'])
})
