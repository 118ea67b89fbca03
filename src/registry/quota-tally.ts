/** What the tags of some repositories name, each blob once: added to and taken from tag by tag. */
import type { Digest } from '../oci/oci.ts'

export interface Part {
  digest: Digest
  bytes: number
}

/** A part of any number of tags; 0 tags for one that another may take the place of. */
interface Counted extends Part {
  tags: number
}

export class QuotaTally {
  /** By the place of each part: four bytes, where many tags of large indexes name the same thousands. */
  readonly #tags = new Map<string, Uint32Array>()
  readonly #counted: Counted[] = []
  readonly #places = new Map<Digest, number>()
  readonly #free: number[] = []
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  get tags(): number {
    return this.#tags.size
  }

  has(digest: Digest): boolean {
    return this.#places.has(digest)
  }

  partsOf(name: string): readonly Part[] | undefined {
    const places = this.#tags.get(name)
    return places && Array.from(places, (place) => this.#at(place))
  }

  /** What the tag names now; `undefined` for one that is gone. */
  set(name: string, parts: readonly Part[] | undefined): void {
    const before = this.#tags.get(name)
    // Before what goes, so that what stays is never taken out of the count in between.
    const places = Uint32Array.from(parts ?? [], (part) => this.#add(part))
    for (const place of before ?? []) this.#remove(place)
    if (parts === undefined) this.#tags.delete(name)
    else this.#tags.set(name, places)
  }

  #add({ digest, bytes }: Part): number {
    const known = this.#places.get(digest)
    if (known !== undefined) {
      this.#at(known).tags++
      return known
    }
    const place = this.#free.pop() ?? this.#counted.length
    this.#counted[place] = { digest, bytes, tags: 1 }
    this.#places.set(digest, place)
    this.#bytes += bytes
    return place
  }

  #remove(place: number): void {
    const part = this.#at(place)
    if (--part.tags > 0) return
    this.#places.delete(part.digest)
    this.#free.push(place)
    this.#bytes -= part.bytes
  }

  #at(place: number): Counted {
    const part = this.#counted[place]
    if (part === undefined) throw new RangeError(`no part has the place ${place}`)
    return part
  }
}
