import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  asCandidate,
  byTurn,
  evictionReasons,
  planEviction,
  type Resident,
  whyMayGo,
} from '../../../src/store/room/eviction-order.ts'
import { digestOf } from '../scenery.ts'

const resident = fc.record<Resident>({
  digest: fc.integer({ min: 0, max: 10_000 }).map((n) => digestOf(Uint8Array.of(n >> 8, n & 255))),
  bytes: fc.integer({ min: 0, max: 1000 }),
  usedMs: fc.integer({ min: 0, max: 50 }),
  isPart: fc.boolean(),
  isInUse: fc.boolean(),
  isPromised: fc.boolean(),
  isKept: fc.boolean(),
  isReferenced: fc.boolean(),
  isOutside: fc.boolean(),
  isSurplus: fc.boolean(),
})
const residents = fc.uniqueArray(resident, { selector: ({ digest }) => digest, maxLength: 60 })

const inTurn = (some: Resident[]) =>
  some
    .map(asCandidate)
    .filter((candidate) => candidate !== undefined)
    .sort(byTurn)

describe('what may go to make room', () => {
  it('is never in use, kept, or the last copy of what was pushed', () => {
    fc.assert(
      fc.property(residents, (some) => {
        for (const { isInUse, isKept, isPart, isReferenced, isOutside, isSurplus } of inTurn(some)) {
          expect(isInUse || isKept).toBe(false)
          // Pushed, and wanted by a manifest: only where others have it.
          if (!isPart && isReferenced && !isOutside) expect(isSurplus).toBe(true)
        }
      }),
    )
  })

  it('is nothing that somebody was promised, but for what can be fetched again', () => {
    fc.assert(
      fc.property(resident, (one) => {
        const reason = whyMayGo({ ...one, isPromised: true })
        expect([undefined, 'part', 'mirrored']).toContain(reason)
      }),
    )
  })

  it('makes as much room as is wanted and no blob more, or says what is missing', () => {
    fc.assert(
      fc.property(residents, fc.integer({ min: 0, max: 40_000 }), (some, wanted) => {
        const candidates = inTurn(some)
        const all = candidates.reduce((sum, { bytes }) => sum + bytes, 0)
        const { go, bytes, missingBytes } = planEviction(candidates, wanted)
        expect(bytes).toBe(go.reduce((sum, candidate) => sum + candidate.bytes, 0))
        expect(missingBytes).toBe(Math.max(0, wanted - all))
        if (missingBytes === 0) expect(bytes).toBeGreaterThanOrEqual(wanted)
        if (go.length > 0) expect(bytes - (go.at(-1)?.bytes ?? 0)).toBeLessThan(Math.max(1, wanted))
      }),
    )
  })

  it('goes by reason, and by last use within one', () => {
    fc.assert(
      fc.property(residents, fc.integer({ min: 0, max: 40_000 }), (some, wanted) => {
        const candidates = inTurn(some)
        const { go } = planEviction(candidates, wanted)
        const gone = new Set(go)
        for (const stays of candidates) {
          if (gone.has(stays)) continue
          for (const goes of go) {
            const rank = evictionReasons.indexOf(goes.reason) - evictionReasons.indexOf(stays.reason)
            expect(rank < 0 || (rank === 0 && goes.usedMs <= stays.usedMs)).toBe(true)
          }
        }
      }),
    )
  })

  it('is the same whatever the order in which the store is walked', () => {
    fc.assert(
      fc.property(residents, fc.integer({ min: 0, max: 40_000 }), (some, wanted) => {
        const names = (list: Resident[]) => planEviction(inTurn(list), wanted).go.map(({ digest }) => digest)
        expect(names([...some].reverse())).toEqual(names(some))
      }),
    )
  })
})
