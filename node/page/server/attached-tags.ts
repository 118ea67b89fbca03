/** What cosign ties to an image by a tag: its digest with a hyphen, and what it is. */
import type { Digest, Repository, Tag } from '../../../src/oci/oci.ts'
import type { Names } from '../../../src/records/records.ts'
import type { ReferrerFacts } from '../answers/images.ts'

const kinds = ['sig', 'att', 'sbom'] as const
const pattern = /^sha256-([0-9a-f]{64})\.(?:sig|att|sbom)$/

/** Whether the tag is of something that belongs to another image of the repository, and is shown there. */
export async function isAttached(
  names: Pick<Names, 'findManifest'>,
  repository: Repository,
  tag: string,
): Promise<boolean> {
  const [, hash] = pattern.exec(tag) ?? []
  if (hash === undefined) return false
  return (await names.findManifest(repository, `sha256:${hash}` as Digest)) !== undefined
}

/** As referrers, which they would be if they named their subject. */
export async function attachedTo(
  names: Pick<Names, 'findTag'>,
  repository: Repository,
  digest: Digest,
): Promise<ReferrerFacts[]> {
  const found = kinds.map(async (kind): Promise<ReferrerFacts[]> => {
    const tag = `${digest.replace(':', '-')}.${kind}`
    const entry = pattern.test(tag) ? await names.findTag(repository, tag as Tag) : undefined
    if (entry === undefined) return []
    const { mediaType, size, writtenMs, author } = entry
    const artifactType = `application/vnd.dev.cosign.${kind}`
    return [
      { tag, digest: entry.digest, mediaType, bytes: size, artifactType, annotations: {}, writtenMs, author },
    ]
  })
  return (await Promise.all(found)).flat()
}
