/** What the registry sees of the current records: live tags and manifests. */
import type { Digest } from '../oci/oci.ts'

export interface TagEntry {
  digest: Digest
  mediaType: string
  size: number
  /**
   * When an upstream last said that this is what the tag points to, in milliseconds since the epoch; absent for a tag that was
   * pushed to the cluster.
   */
  checkedMs?: number
  /** By which its owners are ranked; absent for the digest. */
  home?: Digest
  /** When and by whom it was written: milliseconds since the epoch, and a libp2p peer id. */
  writtenMs: number
  author: string
  /** The account in whose name the author says that it wrote it. */
  by?: string
}

export interface ManifestEntry {
  digest: Digest
  mediaType: string
  size: number
  subject?: Digest
  artifactType?: string
  annotations?: Record<string, string>
  /** What it refers to and was not there when it was pushed: nobody has seen that who pushed it may read it. */
  absent?: Digest[]
  writtenMs: number
  author: string
  /** The account in whose name the author says that it wrote it. */
  by?: string
}
