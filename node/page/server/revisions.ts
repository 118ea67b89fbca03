/** Whose images changed: who may read some of them alone hears nothing of changes to the others. */
import type { Repository } from '../../../src/oci/oci.ts'
import type { ChangedKey } from '../../../src/records/records.ts'
import type { Visitor } from './visitors.ts'

/** That wait to be told; what is beyond is seen with the next change. */
const maxChanged = 10_000
/** Of those so many at an event, as each reader's rights to each are looked at: the rest is told a few events later. */
const maxTold = 256

export class Revisions {
  readonly #changed = new Set<Repository>()
  /** The rules decide on what is seen. */
  #isGoverned = false

  changed(keys: readonly ChangedKey[]): void {
    for (const key of keys) {
      if (key.kind === 'policy') this.#isGoverned = true
      if ((key.kind === 'tag' || key.kind === 'manifest') && this.#changed.size < maxChanged)
        this.#changed.add(key.repository)
    }
  }

  /** Whether something that the visitor may read is among what changed and is told now, the oldest first. */
  take(): (visitor: Pick<Visitor, 'may'>) => boolean {
    const told = this.#changed.values().take(maxTold).toArray()
    for (const repository of told) this.#changed.delete(repository)
    const isGoverned = this.#isGoverned
    this.#isGoverned = false
    return (visitor) => isGoverned || told.some((repository) => visitor.may(repository, 'pull'))
  }
}
