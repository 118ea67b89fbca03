/** Which manifests refer to a mirrored one, as their upstream last said; the rest of them is in their records. */
import type { Digest } from '../oci/oci.ts'

export interface HeardList {
  atMs: number
  /** In byte order. */
  digests: readonly Digest[]
}

const maxLists = 20_000
/** Of all lists together. */
const maxDigests = 100_000

/** A list that was forgotten is asked for again. */
export class ReferrerLists {
  readonly #lists = new Map<string, HeardList>()
  #digests = 0

  note(name: string, list: HeardList): void {
    this.#forget(name)
    this.#lists.set(name, list)
    this.#digests += list.digests.length
    for (const oldest of this.#lists.keys()) {
      if (this.#lists.size <= maxLists && this.#digests <= maxDigests) break
      this.#forget(oldest)
    }
  }

  find(name: string): HeardList | undefined {
    return this.#lists.get(name)
  }

  #forget(name: string): void {
    this.#digests -= this.#lists.get(name)?.digests.length ?? 0
    this.#lists.delete(name)
  }
}
