import fc from 'fast-check'
import { expect, it } from 'vitest'
import { digestBytes } from '../../src/oci/oci.ts'
import { type Part, QuotaTally } from '../../src/registry/quota-tally.ts'

const parts: Part[] = Array.from({ length: 12 }, (_, at) => ({
  digest: digestBytes(Buffer.from(`part ${at}`)),
  bytes: 10 ** (at % 6),
}))

const change = fc.record({
  name: fc.constantFrom('app:1', 'app:2', 'web:1'),
  named: fc.option(fc.subarray(parts), { nil: undefined }),
})

it('counts each part once, whatever tags come, move and go', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const tally = new QuotaTally()
      const model = new Map<string, readonly Part[]>()
      for (const { name, named } of changes) {
        tally.set(name, named)
        if (named === undefined) model.delete(name)
        else model.set(name, named)
        const distinct = new Set([...model.values()].flat())
        expect(tally.bytes).toBe([...distinct].reduce((sum, { bytes }) => sum + bytes, 0))
        expect(tally.tags).toBe(model.size)
        for (const part of parts) expect(tally.has(part.digest)).toBe(distinct.has(part))
        for (const tag of ['app:1', 'app:2', 'web:1']) {
          const held = tally.partsOf(tag)?.map(({ digest }) => digest)
          expect(held).toEqual(model.get(tag)?.map(({ digest }) => digest))
        }
      }
    }),
  )
})
