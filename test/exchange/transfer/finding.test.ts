import { describe, expect, it } from 'vitest'
import { Finding } from '../../../src/exchange/transfer/finding.ts'
import type { LookUp } from '../../../src/exchange/transfer/look-up.ts'
import type { Transfers } from '../../../src/exchange/transfer/transfers.ts'
import { digestBytes, parseRepository } from '../../../src/oci/oci.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'

describe('a blob that members hold for other repositories alone', () => {
  it('is not found, though it comes here for one of them meanwhile', async () => {
    const digest = digestBytes(Buffer.from('of another repository'))
    let isHere = false
    const lookUp: Pick<LookUp, 'isHeldFor'> = {
      isHeldFor: async () => {
        isHere = true
        return false
      },
    }
    const transfers: Pick<Transfers, 'join'> = {
      join: () => Promise.reject(new Error('nothing is to be brought')),
    }
    const finding = new Finding({
      blobs: { stat: async () => (isHere ? { size: 21 } : undefined) },
      lookUp,
      transfers: transfers as Transfers,
      clock: new SteppedClock(),
    })
    const wanted = { repository: parseRepository('team/other'), digest }
    const { signal } = new AbortController()
    expect(await finding.find(wanted, { withinMs: 1000 }, signal)).toBeUndefined()
  })
})
