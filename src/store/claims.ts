/**
 * Keeps the collector and the writers apart, digest by digest: a writer claims the digests that it is about to rely
 * on, the collector marks the one that it is about to remove, and no digest is ever both.
 */
import type { Digest } from '../oci/oci.ts'

export class Claims {
  readonly #held = new Map<Digest, number>()
  readonly #removing = new Map<Digest, Promise<void>>()

  /** Runs `work` while none of `digests` can be removed. Waits for removals that have begun; claims don't exclude each other. */
  async hold<T>(digests: Iterable<Digest>, work: () => Promise<T>): Promise<T> {
    const wanted = new Set(digests)
    // Between the check that finds none and the count below there is no await: that is what makes it atomic.
    for (;;) {
      const removal = this.#firstRemoval(wanted)
      if (removal === undefined) break
      await removal
    }
    for (const digest of wanted) this.#held.set(digest, (this.#held.get(digest) ?? 0) + 1)
    try {
      return await work()
    } finally {
      for (const digest of wanted) {
        const left = (this.#held.get(digest) ?? 1) - 1
        if (left === 0) this.#held.delete(digest)
        else this.#held.set(digest, left)
      }
    }
  }

  /** Runs `work` while nobody can claim `digest`. Returns `undefined`, without running it, when someone has. */
  async remove<T>(digest: Digest, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#held.has(digest) || this.#removing.has(digest)) return undefined
    const done = Promise.withResolvers<void>()
    this.#removing.set(digest, done.promise)
    try {
      return await work()
    } finally {
      this.#removing.delete(digest)
      done.resolve()
    }
  }

  #firstRemoval(digests: Set<Digest>): Promise<void> | undefined {
    if (this.#removing.size === 0) return undefined
    for (const [digest, removal] of this.#removing) if (digests.has(digest)) return removal
    return undefined
  }
}
