/** Which blobs' files were right a short while ago, so that what is read again and again is not checked each time. */
import type { Stats } from 'node:fs'
import type { Digest } from '../../oci/oci.ts'
import type { Leases } from '../links/leases.ts'

type FileFacts = Pick<Stats, 'ino' | 'size' | 'ctimeMs'>

/** How long a disk may rot before whoever reads is told. */
const believedMs = 10 * 60_000
const maxFiles = 16_384

export class SoundFiles {
  readonly #leases: Leases
  readonly #files = new Map<Digest, FileFacts & { atMs: number }>()

  constructor(leases: Leases) {
    this.#leases = leases
  }

  /** All of the file was just seen to be right. */
  add(digest: Digest, { ino, size, ctimeMs }: FileFacts): void {
    this.#files.delete(digest)
    this.#files.set(digest, { ino, size, ctimeMs, atMs: this.#leases.now() })
    const [oldest] = this.#files.keys()
    if (this.#files.size > maxFiles && oldest !== undefined) this.#files.delete(oldest)
  }

  /** Whether it is that file still: whatever writes to a file changes its ctime. */
  has(digest: Digest, { ino, size, ctimeMs }: FileFacts): boolean {
    const known = this.#files.get(digest)
    if (known === undefined) return false
    const isSame = known.ino === ino && known.size === size && known.ctimeMs === ctimeMs
    if (isSame && this.#leases.isYoung(known.atMs, believedMs)) return true
    this.#files.delete(digest)
    return false
  }
}
