/** What the tags of some repositories name, each blob once: added to and taken from tag by tag. */
import type { Digest } from '../oci/oci.ts'

export interface Part {
  digest: Digest
  bytes: number
}

export class QuotaTally {
  readonly #tags = new Map<string, readonly Part[]>()
  /** By how many tags each is named. */
  readonly #parts = new Map<Digest, { bytes: number; tags: number }>()
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  get tags(): number {
    return this.#tags.size
  }

  has(digest: Digest): boolean {
    return this.#parts.has(digest)
  }

  partsOf(name: string): readonly Part[] | undefined {
    return this.#tags.get(name)
  }

  /** What the tag names now; `undefined` for one that is gone. */
  set(name: string, parts: readonly Part[] | undefined): void {
    const before = this.#tags.get(name)
    // Before what goes, so that what stays is never taken out of the count in between.
    for (const part of parts ?? []) this.#add(part)
    for (const { digest } of before ?? []) this.#remove(digest)
    if (parts === undefined) this.#tags.delete(name)
    else this.#tags.set(name, parts)
  }

  #add({ digest, bytes }: Part): void {
    const known = this.#parts.get(digest)
    if (known !== undefined) known.tags++
    else {
      this.#parts.set(digest, { bytes, tags: 1 })
      this.#bytes += bytes
    }
  }

  #remove(digest: Digest): void {
    const known = this.#parts.get(digest)
    if (known === undefined || --known.tags > 0) return
    this.#parts.delete(digest)
    this.#bytes -= known.bytes
  }
}
