/** By what the owners of an image are ranked that has a tag already: another tag of it must not have others. */
import type { Digest, Repository } from '../oci/oci.ts'
import type { Names } from '../records/records.ts'

/** `undefined` where it has no tag; without `home` where its own digest ranks them. */
export async function findHome(
  names: Pick<Names, 'tagsOf' | 'findTag'>,
  repository: Repository,
  digest: Digest,
): Promise<{ home?: Digest } | undefined> {
  const [tag] = await names.tagsOf(repository, digest, { limit: 1 })
  const entry = tag === undefined ? undefined : await names.findTag(repository, tag)
  if (entry?.digest !== digest) return undefined
  return entry.home === undefined ? {} : { home: entry.home }
}
