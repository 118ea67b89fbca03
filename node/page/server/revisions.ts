/** Whose images changed: who may read some of them alone hears nothing of changes to the others. */
import type { Repository } from '../../../src/oci/oci.ts'
import type { ChangedKey } from '../../../src/records/records.ts'
import type { Visitor } from './visitors.ts'

/** Between two events; what is beyond is seen with the next change. */
const maxChanged = 20_000

export class Revisions {
  #changed = new Set<Repository>()
  /** The rules decide on what is seen. */
  #isGoverned = false

  changed(keys: readonly ChangedKey[]): void {
    for (const key of keys) {
      if (key.kind === 'policy') this.#isGoverned = true
      if ((key.kind === 'tag' || key.kind === 'manifest') && this.#changed.size < maxChanged)
        this.#changed.add(key.repository)
    }
  }

  /** Whether something that the visitor may read changed since this was called last. */
  take(): (visitor: Pick<Visitor, 'may'>) => boolean {
    const [changed, isGoverned] = [this.#changed, this.#isGoverned]
    this.#changed = new Set()
    this.#isGoverned = false
    return (visitor) => isGoverned || changed.values().some((repository) => visitor.may(repository, 'pull'))
  }
}
