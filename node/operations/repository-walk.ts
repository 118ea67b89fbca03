/** Everything of one kind in a repository, read a page at a time. */
import type { Digest, Repository, Tag } from '../../src/oci/oci.ts'
import type { ManifestEntry, Names } from '../../src/records/records.ts'

const pageLength = 500

interface Page {
  after?: string
  limit: number
}

export async function* walkTags(names: Names, repository: Repository): AsyncGenerator<Tag> {
  yield* walk(
    (page) => names.listTags(repository, page),
    (tag) => tag,
  )
}

export async function* walkManifests(names: Names, repository: Repository): AsyncGenerator<ManifestEntry> {
  yield* walk(
    (page) => names.listManifests(repository, page),
    ({ digest }) => digest,
  )
}

export async function* walkReferrers(
  names: Names,
  repository: Repository,
  subject: Digest,
): AsyncGenerator<ManifestEntry> {
  yield* walk(
    (page) => names.listReferrers(repository, subject, page),
    ({ digest }) => digest,
  )
}

async function* walk<T>(read: (page: Page) => Promise<T[]>, nameOf: (item: T) => string): AsyncGenerator<T> {
  for (let after: string | undefined; ; ) {
    const page = await read({ limit: pageLength, ...(after === undefined ? {} : { after }) })
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < pageLength) return
    after = nameOf(last)
  }
}
