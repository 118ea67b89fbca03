/** What fuzzing starts from and what it found, as ordinary tests: `found/TARGET/DECODER/` has an input for each fault that was mended. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type Decoder,
  FindingError,
  mustBe,
  refusing,
  runDecoder,
  runTarget,
  seedsOf,
  type Target,
} from './target.ts'
import { targetNames, targets } from './targets.ts'

const found = path.join(import.meta.dirname, 'found')

describe.each(targetNames)('the decoders of %s', (name) => {
  const target = targets[name]

  it('bear what fuzzing starts from', async () => {
    const seeds = seedsOf(target)
    expect(seeds.size).toBeGreaterThanOrEqual(Object.keys(target.decoders).length)
    for (const seed of seeds.values()) await runTarget(target, seed)
  })

  it('bear nothing at all', async () => {
    for (const index of Object.keys(target.decoders).keys()) await runTarget(target, Uint8Array.of(index))
    await runTarget(target, new Uint8Array())
  })

  it.each(foundFor(name))('bear %s, which was found by fuzzing', async (file) => {
    const { decoders }: Target = target
    await runDecoder(decoders[path.dirname(file)], readFileSync(path.join(found, name, file)))
  })
})

describe('a fuzz target', () => {
  const decoder = (check: Decoder['check']): Decoder => ({ check, seeds: [] })

  it('tells what a decoder must not do', async () => {
    const throws = decoder(() => {
      throw new TypeError('of undefined')
    })
    const lies = decoder(([byte = 0]) => mustBe(byte < 5, 'too much'))
    const target = { decoders: { throws, lies } }
    await expect(runTarget(target, Uint8Array.of(0))).rejects.toThrow(TypeError)
    await expect(runTarget(target, Uint8Array.of(1, 5))).rejects.toThrow(FindingError)
    await runTarget(target, Uint8Array.of(1, 4))
  })

  it('takes an error with a code for a refusal only where that code is expected', () => {
    const refuse = () => targets.records.decoders.keys?.check(Uint8Array.of(0))
    expect(refuse()).toBeUndefined()
    expect(() =>
      refusing([], () => {
        throw new FindingError('x')
      }),
    ).toThrow('x')
  })

  it('notices a prototype that was changed', async () => {
    const pollutes = decoder(() => {
      Object.assign(Object.prototype, { polluted: true })
    })
    try {
      await expect(runTarget({ decoders: { pollutes } }, Uint8Array.of(0))).rejects.toThrow('polluted')
    } finally {
      Reflect.deleteProperty(Object.prototype, 'polluted')
    }
  })
})

/** As `DECODER/WHAT`. */
function foundFor(name: string): string[] {
  const folder = path.join(found, name)
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  )
  return entries.map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name))).toSorted()
}
