/** The kept images that are not complete here, up to a number beyond which only the fact is known. */
import type { Digest } from '../oci/oci.ts'
import type { Part } from './image-plan.ts'

interface Missing<C> {
  candidate: C
  /** When the record that asked for it was written. */
  sinceMs: number
  parts: Part[]
}

const maxImages = 1_000
/** Of one image. */
const maxParts = 100

export class MissingImages<C> {
  readonly #images = new Map<string, Missing<C> & { sweep: number }>()
  #isCut = false
  #sweep = 0

  get size(): number {
    return this.#images.size
  }

  /** True when there were more than are known here. */
  get isCut(): boolean {
    return this.#isCut
  }

  set(name: string, image: Missing<C>): void {
    if (this.#images.size >= maxImages && !this.#images.has(name)) this.#isCut = true
    else this.#images.set(name, { ...image, parts: image.parts.slice(0, maxParts), sweep: this.#sweep })
  }

  delete(name: string): void {
    this.#images.delete(name)
  }

  /** Everything is looked at from now on. */
  begin(): void {
    this.#sweep++
    this.#isCut = false
  }

  /** Everything was looked at: what was not found missing since `begin` is not to be kept any more. */
  end(): void {
    for (const [name, { sweep }] of this.#images) if (sweep !== this.#sweep) this.#images.delete(name)
  }

  list(): C[] {
    return [...this.#images.values()].map(({ candidate }) => candidate)
  }

  wants(digest: Digest): boolean {
    for (const { parts } of this.#images.values()) {
      if (parts.some((part) => part.digest === digest)) return true
    }
    return false
  }

  /** How long the oldest has been missing; 0 when none is. */
  oldestMs(nowMs: number): number {
    const since = [...this.#images.values()].map(({ sinceMs }) => sinceMs)
    return since.length === 0 ? 0 : nowMs - since.reduce((a, b) => Math.min(a, b))
  }
}
