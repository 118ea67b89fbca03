import { describe, expect, it } from 'vitest'
import type { MinuteFacts } from '../../../../node/page/answers/hour.ts'
import { hourInWords, isQuiet, pullLines, readLines } from '../../../../node/page/client/hour.ts'

const none = { local: 0, peer: 0, upstream: 0 }
const minute = (at: number, facts: Partial<MinuteFacts> = {}): MinuteFacts => {
  const times = { fromMs: at * 60_000, toMs: (at + 1) * 60_000 }
  return { ...times, bytes: none, pushedBytes: 0, pulls: none, failed: 0, ...facts }
}
const busy = minute(0, {
  bytes: { local: 60_000, peer: 120_000, upstream: 0 },
  pulls: { local: 1, peer: 2, upstream: 0 },
  failed: 2,
})

describe('the last hour', () => {
  it('is drawn as bytes a second, and as pulls', () => {
    expect(readLines([busy, minute(1)])).toEqual({
      times: [60, 120],
      values: [
        [1000, 0],
        [2000, 0],
        [0, 0],
      ],
    })
    expect(pullLines([busy])).toEqual({ times: [60], values: [[1], [2], [0], [2]] })
  })

  it('is drawn without the rate of a minute that has only begun', () => {
    const begun = minute(1, { toMs: 60_001, bytes: { ...none, local: 1000 } })
    expect(readLines([busy, begun]).times).toEqual([60])
    expect(pullLines([busy, begun]).times).toHaveLength(2)
  })

  it('is said in a sentence', () => {
    expect(hourInWords({ minutes: [busy, minute(1, { pushedBytes: 1024 })] })).toBe(
      'Clients read 176 KiB: 58.6 KiB from this node and 117 KiB from other members, in 3 pulls of manifests and blobs. 2 pulls failed. 1.0 KiB were pushed.',
    )
    const one = minute(0, { bytes: { ...none, upstream: 1024 }, pulls: { ...none, upstream: 1 } })
    expect(hourInWords({ minutes: [one] })).toBe(
      'Clients read 1.0 KiB from upstreams, in 1 pull of manifests and blobs.',
    )
    expect(hourInWords({ minutes: [minute(0)] })).toBe('No client of this node pulled anything.')
    expect(isQuiet({ minutes: [minute(0)] })).toBe(true)
    expect(isQuiet({ minutes: [minute(0, { failed: 1 })] })).toBe(false)
  })
})
