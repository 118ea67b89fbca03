/** The operations behind `shoal ls` and `shoal du`: what there is, how large, and what of it fills this disk. */
import { type Digest, OciError, parseRepository, type Repository } from '../../src/oci/oci.ts'
import type { TagEntry } from '../../src/records/records.ts'
import { imagePartsOf } from '../../src/registry/registry.ts'
import type { ListedPage, ListedRow, Operation, OperationContext } from './operations.ts'

/** What one repository has on this disk. */
export interface DiskRow {
  repository: string
  blobs: number
  bytes: number
  /** Of what no other repository has: so much would go with it. */
  ownBytes: number
}

export interface DiskUse {
  /** The largest first. */
  repositories: DiskRow[]
  blobs: number
  bytes: number
  /** Of blobs that belong to none: parts of pushes, or what a collection takes. */
  looseBytes: number
}

const rowsPerPage = 500

export const listPage: Operation<'ls'> = async (
  context,
  { repository, after, details = false },
): Promise<ListedPage> => {
  const { names } = context.node
  const page = { limit: rowsPerPage, ...(after === undefined ? {} : { after }) }
  if (repository === undefined) {
    const rows: ListedRow[] = []
    for (const name of await names.listRepositories(page)) {
      if (!details) rows.push({ name })
      else {
        const { tags, isMore } = await names.countTags(name)
        rows.push({ name, tags, ...(isMore ? { isMore } : {}) })
      }
    }
    return pageOf(rows)
  }
  const listed = parseRepository(repository)
  const rows: ListedRow[] = []
  for (const name of await names.listTags(listed, page)) {
    const entry = await names.findTag(listed, name)
    if (entry === undefined) continue
    rows.push({ ...entry, name, ...(details ? await detailsOf(context, entry) : {}) })
  }
  if (rows.length === 0 && after === undefined && details && !(await isKnown(context, listed)))
    throw new OciError(
      'NAME_UNKNOWN',
      `no repository is named ${listed}; shoal ls lists those that there are`,
    )
  return pageOf(rows)
}

export const showDiskUse: Operation<'du'> = async ({ node: { store } }, _params, _emit, { signal }) => {
  const rows = new Map<Repository, DiskRow>()
  const use: DiskUse = { repositories: [], blobs: 0, bytes: 0, looseBytes: 0 }
  for await (const { digest, size } of store.blobs.list({ signal })) {
    use.blobs++
    use.bytes += size
    const repositories = await Array.fromAsync(store.links.repositoriesOf(digest))
    if (repositories.length === 0) use.looseBytes += size
    for (const repository of repositories) {
      const row = rows.get(repository) ?? { repository, blobs: 0, bytes: 0, ownBytes: 0 }
      row.blobs++
      row.bytes += size
      if (repositories.length === 1) row.ownBytes += size
      rows.set(repository, row)
    }
  }
  use.repositories = [...rows.values()].toSorted((a, b) => b.bytes - a.bytes)
  return use
}

function pageOf(rows: ListedRow[]): ListedPage {
  const next = rows.length < rowsPerPage ? undefined : rows.at(-1)?.name
  return next === undefined ? { rows } : { rows, next }
}

/** As far as its manifests are here. */
async function detailsOf(
  { node: { store } }: OperationContext,
  entry: TagEntry,
): Promise<Pick<ListedRow, 'bytes' | 'hereBytes' | 'unusedMs'>> {
  let hereBytes = 0
  const manifests = new Set<Digest>()
  const { parts, missing } = await imagePartsOf(entry, {
    store,
    async read(digest) {
      const manifest = await store.manifests.get(digest)
      hereBytes += manifest?.length ?? 0
      manifests.add(digest)
      return manifest
    },
  })
  let unusedMs: number | undefined
  for (const { digest } of parts) {
    const here = manifests.has(digest) ? undefined : await store.blobs.stat(digest)
    if (here === undefined) continue
    hereBytes += here.size
    const ageMs = store.room.unusedMs(digest)
    if (ageMs !== undefined) unusedMs = Math.min(ageMs, unusedMs ?? ageMs)
  }
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
  return {
    hereBytes,
    ...(missing.length > 0 ? {} : { bytes }),
    ...(unusedMs === undefined ? {} : { unusedMs }),
  }
}

async function isKnown({ node: { names } }: OperationContext, repository: Repository): Promise<boolean> {
  return (await names.listManifests(repository, { limit: 1 })).length > 0
}
