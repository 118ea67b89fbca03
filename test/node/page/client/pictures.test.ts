import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { curve, nameWithin, placeMembers, strokeOf } from '../../../../node/page/client/circle.ts'
import { nameMembers } from '../../../../node/page/client/member-names.ts'
import { cellsOf, readablePieces, readBitfield } from '../../../../node/page/client/pieces.ts'
import { partsOf, windowOf } from '../../../../node/page/client/window-of.ts'

describe('the picture of the cluster', () => {
  const size = { width: 400, height: 300, marginX: 80, marginY: 40 }

  it('keeps every member inside its margins, and fills its height', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 64 }), (count) => {
        const places = placeMembers(
          Array.from({ length: count }, (_, index) => String(index)),
          size,
        )
        for (const { x, y } of places) {
          expect(x).toBeGreaterThanOrEqual(79.9)
          expect(x).toBeLessThanOrEqual(320.1)
          expect(y).toBeGreaterThanOrEqual(39.9)
          expect(y).toBeLessThanOrEqual(260.1)
        }
        expect(Math.max(...places.map(({ y }) => y))).toBeCloseTo(260)
      }),
    )
    expect(placeMembers(['a'], size)).toEqual([{ peer: 'a', x: 200, y: 150, anchor: 'middle' }])
  })

  it('shortens a name that its side has no room for, from the end, where hosts of a domain are alike', () => {
    const places = placeMembers(['a', 'b', 'c'], size)
    const names = places.map((place) =>
      nameWithin('runner-17.example.internal', place, size, { side: 17, letter: 8 }),
    )
    expect(names).toEqual(['runner-17.example.internal', 'runner-1…', 'runner-1…'])
    expect(places.map((place) => nameWithin('host-a', place, size, { side: 17, letter: 8 }))).toEqual([
      'host-a',
      'host-a',
      'host-a',
    ])
  })

  it('bends both directions apart', () => {
    const [a, b] = placeMembers(['a', 'b'], size)
    if (a === undefined || b === undefined) throw new Error('two were placed')
    expect(curve(a, b, 10)).not.toBe(curve(b, a, 10))
    expect(curve(a, a, 10)).not.toContain('NaN')
  })

  it('draws more for more', () => {
    expect(strokeOf(0)).toBe(1.5)
    expect(strokeOf(2 ** 30)).toBeGreaterThan(strokeOf(2 ** 20))
    expect(strokeOf(1e15)).toBe(7)
  })

  it('names members apart', () => {
    const facts = { isSelf: false, addresses: [], sinceMs: 0, receivedBytes: 0, sentBytes: 0, faults: {} }
    const nameOf = nameMembers({
      members: [
        { ...facts, peer: 'peer-of-node-one', name: 'host' },
        { ...facts, peer: 'peer-of-node-two', name: 'host' },
        { ...facts, peer: 'third', name: 'other' },
      ],
      lost: [{ ...facts, peer: 'peer-without-a-name' }],
    })
    expect(['peer-of-node-one', 'third', 'peer-without-a-name', 'peer-never-heard-of'].map(nameOf)).toEqual([
      'host …node-one',
      'other',
      '…t-a-name',
      '…heard-of',
    ])
  })
})

describe('the picture of the pieces', () => {
  it('has a cell for each piece, or for several, and none is lost', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 500 }),
        fc.integer({ min: 1, max: 200 }),
        (held, most) => {
          const bytes = new Uint8Array(Math.ceil(held.length / 8))
          held.forEach((has, piece) => {
            if (has) bytes[piece >> 3] = (bytes[piece >> 3] ?? 0) | (0x80 >> (piece & 7))
          })
          const field = readBitfield(Buffer.from(bytes).toString('base64'))
          const cells = cellsOf(field, held.length, most)
          expect(cells.length).toBeLessThanOrEqual(most)
          const perCell = Math.ceil(held.length / most)
          const sum = cells.reduce((total, share, cell) => {
            return total + share * Math.min(perCell, held.length - cell * perCell)
          }, 0)
          expect(Math.round(sum)).toBe(held.filter(Boolean).length)
          const gap = held.indexOf(false)
          expect(readablePieces(field, held.length)).toBe(gap < 0 ? held.length : gap)
        },
      ),
    )
  })
})

describe('the rows of a long list that are drawn', () => {
  it('cover what is in sight, are in the list, and few', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(5_000_000), fc.nat(3000), (total, scrolled, height) => {
        const { first, end } = windowOf(total, { rowHeight: 45, scrolled, height })
        expect(first).toBeGreaterThanOrEqual(0)
        expect(end).toBeLessThanOrEqual(total)
        expect(end - first).toBeLessThan(height / 45 + 30)
        const middle = Math.floor((scrolled + height / 2) / 45)
        if (middle < total) expect(first <= middle && middle < end).toBe(true)
      }),
    )
  })

  it('are asked for in parts', () => {
    expect(partsOf({ first: 90, end: 210 }, 100)).toEqual([0, 1, 2])
    expect(partsOf({ first: 0, end: 0 }, 100)).toEqual([])
  })
})
