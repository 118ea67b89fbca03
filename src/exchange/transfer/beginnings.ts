/** The beginnings of one blob that members pass on: the one that is read, and who is to blame for one that was wrong. */
import type { Digest } from '../../oci/oci.ts'
import type { Faults } from '../peer/faults.ts'
import type { Layout } from '../protocol/piece-size.ts'
import { Beginning, type BeginningPart } from './beginning.ts'

export class Beginnings {
  readonly #digest: Digest
  readonly #faults: Faults
  #current = new Beginning()
  /** Members whose beginning is not what is signed, which may be a lie until the blob is proven. */
  readonly #accused = new Set<string>()
  #isProven = false

  constructor(digest: Digest, faults: Faults) {
    this.#digest = digest
    this.#faults = faults
  }

  /** Of the blob, as whoever sent the current beginning says. */
  get layout(): Layout | undefined {
    return this.#current.layout
  }

  /** Returns whether it was taken; nothing is of a member that has given a wrong one. */
  add(part: BeginningPart, member: string): boolean {
    const isGuilty = (this.#faults.of(member)['wrong-beginning'] ?? 0) > 0
    return !isGuilty && !this.#accused.has(member) && this.#current.add(part, member)
  }

  /** A copy of what is here from `position` to `end`. */
  read(position: number, end: number): Uint8Array | undefined {
    return this.#current.read(position, end)
  }

  /** A list is believed that cuts the blob like this. */
  believe({ size }: Layout): void {
    // What others were accused by is believed no more.
    this.#accused.clear()
    if (this.#current.layout !== undefined && this.#current.layout.size !== size) this.contradict()
  }

  /** The current one is not the blob's: the member that gave it, or its upstream, gave something else. */
  contradict(): void {
    const { giver } = this.#current
    this.#current = new Beginning()
    if (giver !== undefined) this.#accused.add(giver)
    if (this.#isProven) this.prove()
  }

  /** The blob is proven, and with it what was accused of not being of it. */
  prove(): void {
    this.#isProven = true
    for (const member of this.#accused) {
      this.#faults.add(member, 'wrong-beginning', { digest: this.#digest })
    }
    this.#accused.clear()
  }
}
