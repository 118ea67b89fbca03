/** What this node need not keep, since it came from outside the cluster and can be had from there again. */
import type { Digest, Repository } from '../oci/oci.ts'
import type { Collaborators } from './registry.ts'

export interface Outside {
  /**
   * Whether a manifest, or without one what the repository holds, came from an upstream that answers. Not what was pushed, also
   * under a mirrored name, and not what bears a pushed tag.
   */
  canBringAgain(repository: Repository, manifest: Digest | undefined): Promise<boolean>
}

export function createOutside({ names, mirror, own }: Collaborators): Outside {
  return {
    async canBringAgain(repository, manifest) {
      if (!(await own.isMirrored(repository)) || !mirror.reaches(repository)) return false
      if (manifest === undefined) return true
      for (const tag of await names.tagsOf(repository, manifest)) {
        const entry = await names.findTag(repository, tag)
        if (entry !== undefined && entry.checkedMs === undefined) return false
      }
      return true
    },
  }
}
