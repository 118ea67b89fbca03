/** What others rely on of a member's manifests: what their tags point to, and what their indexes list. */
import { type Digest, parseManifest, type Repository } from '../../src/oci/oci.ts'
import type { Names } from '../../src/records/records.ts'
import type { FileStore } from '../../src/store/store.ts'

const pageLength = 1000

/** Manifests that are reached without the author's own tags and manifests, as far as this node has what lists them. */
export async function reliedUpon(
  { names, store }: { names: Names; store: Pick<FileStore, 'manifests'> },
  author: string,
): Promise<(repository: Repository, digest: Digest) => boolean> {
  const reached = new Set<string>()
  const nameOf = (repository: Repository, digest: Digest): string => `${repository}@${digest}`

  const visit = async (repository: Repository, digest: Digest): Promise<void> => {
    const name = nameOf(repository, digest)
    if (reached.has(name)) return
    reached.add(name)
    const bytes = await store.manifests.get(digest)
    const entry = bytes === undefined ? undefined : await names.findManifest(repository, digest)
    if (bytes === undefined || entry === undefined) return
    for (const child of parseManifest(bytes, entry.mediaType).manifests) await visit(repository, child.digest)
  }

  for await (const repository of paged((page) => names.listRepositories(page), String)) {
    for await (const tag of paged((page) => names.listTags(repository, page), String)) {
      const entry = await names.findTag(repository, tag)
      if (entry !== undefined && entry.author !== author) await visit(repository, entry.digest)
    }
    const manifests = paged(
      (page) => names.listManifests(repository, page),
      ({ digest }) => digest,
    )
    for await (const entry of manifests) if (entry.author !== author) await visit(repository, entry.digest)
  }
  return (repository, digest) => reached.has(nameOf(repository, digest))
}

async function* paged<T>(
  list: (page: { after: string; limit: number }) => Promise<T[]>,
  nameOf: (item: T) => string,
): AsyncGenerator<T> {
  for (let after = ''; ; ) {
    const page = await list({ after, limit: pageLength })
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < pageLength) return
    after = nameOf(last)
  }
}
