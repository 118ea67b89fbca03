import { describe, expect, it } from 'vitest'
import { noMetrics, silentLogger } from '../../../src/base/base.ts'
import { Faults } from '../../../src/exchange/peer/faults.ts'
import { layoutOf, minPieceBytes } from '../../../src/exchange/protocol/piece-size.ts'
import { Beginnings } from '../../../src/exchange/transfer/beginnings.ts'
import { parseDigest } from '../../../src/oci/oci.ts'

describe('the beginnings of a blob', () => {
  const digest = parseDigest(`sha256:${'0'.repeat(64)}`)
  const layout = layoutOf(2 * minPieceBytes)
  const part = { size: layout.size, at: 0, bytes: Uint8Array.of(1, 2, 3) }

  function open() {
    const faults = new Faults({ blame: () => undefined, logger: silentLogger, metrics: noMetrics })
    const wrong = (member: string): number => faults.of(member)['wrong-beginning'] ?? 0
    return { beginnings: new Beginnings(digest, faults), wrong }
  }

  it('are blamed for being wrong once the blob is proven, and none is taken from there again', () => {
    const { beginnings, wrong } = open()
    expect(beginnings.add(part, 'a')).toBe(true)
    beginnings.contradict()
    expect(wrong('a')).toBe(0)
    expect(beginnings.add(part, 'a')).toBe(false)
    expect(beginnings.add(part, 'b')).toBe(true)
    beginnings.prove()
    expect([wrong('a'), wrong('b')]).toEqual([1, 0])
    expect(beginnings.add(part, 'a')).toBe(false)
    beginnings.contradict()
    expect(wrong('b')).toBe(1)
  })

  it('are not blamed by a list that is believed no more', () => {
    const { beginnings, wrong } = open()
    beginnings.add(part, 'a')
    beginnings.believe(layoutOf(3 * minPieceBytes))
    expect(beginnings.read(0, 3)).toBeUndefined()
    beginnings.believe(layout)
    beginnings.prove()
    expect(wrong('a')).toBe(0)
  })
})
