/** What this node need not keep, since it came from outside the cluster and can be had from there again. */
import type { Digest, Repository } from '../oci/oci.ts'
import type { Collaborators } from './registry.ts'

export interface Outside {
  /**
   * Whether a manifest, or without one what the repository holds, came from an upstream that answers. Not what was pushed, also
   * under a mirrored name: not what bears a pushed tag, nor what refers to another manifest and has none, such as a signature.
   */
  canBringAgain(repository: Repository, manifest: Digest | undefined): Promise<boolean>
}

export function createOutside({ names, mirror, own }: Collaborators): Outside {
  return {
    async canBringAgain(repository, manifest) {
      if (!(await own.isMirrored(repository)) || !mirror.reaches(repository)) return false
      if (manifest === undefined) return true
      const tags = await names.tagsOf(repository, manifest)
      // Records do not say whether it was pushed; what has no tag and refers to nothing was asked for by its digest.
      if (tags.length === 0 && (await names.findManifest(repository, manifest))?.subject !== undefined)
        return false
      for (const tag of tags) {
        const entry = await names.findTag(repository, tag)
        if (entry !== undefined && entry.checkedMs === undefined) return false
      }
      return true
    },
  }
}
