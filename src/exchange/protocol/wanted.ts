/** A blob, and the repository as part of which it is asked for. */
import type { Digest, Repository } from '../../oci/oci.ts'

export interface Wanted {
  repository: Repository
  digest: Digest
}
