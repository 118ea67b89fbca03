/**
 * Keeps those apart who rely on a digest, write it, and take it away: a digest is never claimed and taken at once.
 *
 * - Who *holds* it is about to rely on it, such as a push until it is published: it is not collected or deleted meanwhile.
 * - Who *writes* it puts bytes or a row of its name in place: it is not set aside either. What is wrong can be set aside
 *   from under those who only hold it, as they may be the ones who find that out and bring it anew.
 */
import type { Digest } from '../../oci/oci.ts'

type Counts = Map<Digest, number>

export class Claims {
  readonly #held: Counts = new Map()
  readonly #written: Counts = new Map()
  readonly #taking = new Map<Digest, Promise<void>>()

  /** Waits for takings that have begun; claims don't exclude each other. */
  async hold<T>(digests: Iterable<Digest>, work: () => Promise<T>): Promise<T> {
    return await this.#claim(new Set(digests), [this.#held], work)
  }

  /** As `hold`. For short work. */
  async write<T>(digests: Iterable<Digest>, work: () => Promise<T>): Promise<T> {
    return await this.#claim(new Set(digests), [this.#held, this.#written], work)
  }

  /** Runs `work` while nobody can claim `digest`. Returns `undefined`, without running it, when someone has. */
  async remove<T>(digest: Digest, work: () => Promise<T>): Promise<T | undefined> {
    return await this.#take(digest, this.#held, work)
  }

  /** As `remove`, but from under those who hold it. */
  async setAside<T>(digest: Digest, work: () => Promise<T>): Promise<T | undefined> {
    return await this.#take(digest, this.#written, work)
  }

  async #claim<T>(wanted: Set<Digest>, kinds: Counts[], work: () => Promise<T>): Promise<T> {
    // Between the check that finds none and the count below there is no await: that is what makes it atomic.
    for (;;) {
      const taking = this.#firstTaking(wanted)
      if (taking === undefined) break
      await taking
    }
    for (const counts of kinds) for (const digest of wanted) counts.set(digest, (counts.get(digest) ?? 0) + 1)
    try {
      return await work()
    } finally {
      for (const counts of kinds) for (const digest of wanted) countDown(counts, digest)
    }
  }

  async #take<T>(digest: Digest, claimed: Counts, work: () => Promise<T>): Promise<T | undefined> {
    if (claimed.has(digest) || this.#taking.has(digest)) return undefined
    const done = Promise.withResolvers<void>()
    this.#taking.set(digest, done.promise)
    try {
      return await work()
    } finally {
      this.#taking.delete(digest)
      done.resolve()
    }
  }

  #firstTaking(digests: Set<Digest>): Promise<void> | undefined {
    if (this.#taking.size === 0) return undefined
    for (const [digest, taking] of this.#taking) if (digests.has(digest)) return taking
    return undefined
  }
}

function countDown(counts: Counts, digest: Digest): void {
  const left = (counts.get(digest) ?? 1) - 1
  if (left === 0) counts.delete(digest)
  else counts.set(digest, left)
}
