/** The manifests that were read last, ready to be sent, and dropped as soon as a record or the time says otherwise. */
import type { Clock } from '../base/base.ts'
import type { ChangedKey } from '../records/records.ts'
import type { ManifestContent } from './pull.ts'

const defaultBytes = 32 * 1024 * 1024
/** What an entry costs beside its bytes: keys, map slots, the object itself. */
const entryOverheadBytes = 512

export class ManifestCache {
  /** In order of last use, by repository and reference. */
  readonly #entries = new Map<string, ManifestContent>()
  readonly #clock: Clock
  readonly #maxBytes: number
  #bytes = 0
  #generation = 0

  constructor(clock: Clock, maxBytes = defaultBytes) {
    this.#clock = clock
    this.#maxBytes = maxBytes
  }

  /** Changes with every record; a lookup that began under an older one must not be cached. */
  get generation(): number {
    return this.#generation
  }

  find(repository: string, reference: string): ManifestContent | undefined {
    const key = keyOf(repository, reference)
    const content = this.#entries.get(key)
    if (content === undefined) return undefined
    if (content.freshUntilMs !== undefined && content.freshUntilMs <= this.#clock.now()) {
      this.#remove(key)
      return undefined
    }
    this.#entries.delete(key)
    this.#entries.set(key, content)
    return content
  }

  add(repository: string, reference: string, content: ManifestContent, generation: number): void {
    if (generation !== this.#generation) return
    this.#remove(keyOf(repository, reference))
    this.#entries.set(keyOf(repository, reference), content)
    this.#bytes += sizeOf(content)
    for (const key of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.#remove(key)
    }
  }

  forget(changes: ChangedKey[]): void {
    this.#generation++
    for (const change of changes) {
      if (change.kind === 'tag') this.#remove(keyOf(change.repository, change.tag))
      // Any tag may point to a deleted manifest, so none of them can stay.
      else if (change.kind === 'manifest' && change.deleted) this.#clear()
      else if (change.kind === 'manifest') this.#remove(keyOf(change.repository, change.digest))
    }
  }

  #remove(key: string): void {
    const content = this.#entries.get(key)
    if (content === undefined) return
    this.#entries.delete(key)
    this.#bytes -= sizeOf(content)
  }

  #clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }
}

function keyOf(repository: string, reference: string): string {
  // Neither part can hold a space, so no two pairs share a key.
  return `${repository} ${reference}`
}

function sizeOf(content: ManifestContent): number {
  return content.bytes.length + entryOverheadBytes
}
