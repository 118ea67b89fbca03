import { describe, expect, it } from 'vitest'
import type { Digest } from '../../src/oci/oci.ts'
import { politeSupply } from '../../src/placement/placement.ts'
import { makeBlob, repository } from './world.ts'

const { signal } = new AbortController()
const digestOf = (text: string): Digest => makeBlob(text).digest

/** Counts how often it was slept on, and what happened meanwhile. */
function scene(coming: Set<Digest>) {
  let nowMs = 0
  const asked: Digest[] = []
  const gates = new Map<Digest, PromiseWithResolvers<void>>()
  let onSleep: () => void = () => undefined
  const supply = politeSupply({
    supply: {
      bringManifest: async () => undefined,
      refreshTag: async () => undefined,
      refreshReferrers: async () => undefined,
      refreshSiblings: async () => undefined,
      async bringBlob(_, digest) {
        asked.push(digest)
        coming.add(digest)
        await gates.get(digest)?.promise
        coming.delete(digest)
        return true
      },
    },
    coming: () => coming,
    clock: {
      now: () => nowMs,
      async sleep(ms) {
        nowMs += ms
        onSleep()
      },
    },
  })
  return {
    asked,
    bring: (digest: Digest) => supply.bringBlob(repository, digest, { signal }),
    hold(digest: Digest) {
      const gate = Promise.withResolvers<void>()
      gates.set(digest, gate)
      return gate.resolve
    },
    now: () => nowMs,
    onSleep(listener: () => void) {
      onSleep = listener
    },
  }
}

describe('a polite supply', () => {
  it('waits until what clients wait for has come', async () => {
    const coming = new Set([digestOf('pulled')])
    const { asked, bring, now, onSleep } = scene(coming)
    onSleep(() => {
      expect(asked).toEqual([])
      if (now() >= 1_000) coming.clear()
    })
    await bring(digestOf('kept'))
    expect(now()).toBe(1_000)
  })

  it('does not wait for ever', async () => {
    const { bring, now } = scene(new Set([digestOf('pulled')]))
    expect(await bring(digestOf('kept'))).toBe(true)
    expect(now()).toBe(15_000)
  })

  it('waits neither for its own, nor for a blob that comes already', async () => {
    const coming = new Set<Digest>()
    const { bring, hold, now } = scene(coming)
    const release = hold(digestOf('first'))
    const first = bring(digestOf('first'))
    await bring(digestOf('second'))
    release()
    await first
    coming.add(digestOf('pulled'))
    await bring(digestOf('pulled'))
    expect(now()).toBe(0)
  })
})
