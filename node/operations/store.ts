/** Operations on what a node stores. */
import { parseRepository } from '../../src/oci/oci.ts'
import type { VerifyProgress } from '../../src/store/store.ts'
import type { ListedPage, ListedRow, Operation } from './operations.ts'

/** Progress is for people: more often than they can read it, it only costs. */
const progressEveryMs = 100

export const collect: Operation<'gc'> = ({ node }, { dryRun, graceMs, untaggedMs }, emit, { signal }) =>
  node.collect({
    dryRun,
    signal,
    onProgress: seldom(emit),
    ...(graceMs === undefined ? {} : { graceMs }),
    ...(untaggedMs === undefined ? {} : { untaggedMs }),
  })

export const verify: Operation<'verify'> = async ({ node }, _params, emit, { signal }) => {
  const { blobBytes: totalBytes } = await node.disk.measure()
  const onProgress = seldom((done: VerifyProgress) => emit({ ...done, totalBytes }))
  return await node.store.verify({ signal, onProgress })
}

function seldom<T>(emit: (progress: T) => void): (progress: T) => void {
  let emittedMs = Number.NEGATIVE_INFINITY
  return (progress) => {
    const nowMs = performance.now()
    if (nowMs - emittedMs < progressEveryMs) return
    emittedMs = nowMs
    emit(progress)
  }
}

const rowsPerPage = 500

export const listPage: Operation<'ls'> = async (
  { node: { names } },
  { repository, after },
): Promise<ListedPage> => {
  const page = { limit: rowsPerPage, ...(after === undefined ? {} : { after }) }
  const listed = repository === undefined ? undefined : parseRepository(repository)
  if (listed === undefined) {
    const repositories = await names.listRepositories(page)
    return pageOf(repositories.map((name) => ({ name })))
  }
  const rows: ListedRow[] = []
  for (const name of await names.listTags(listed, page)) {
    const entry = await names.findTag(listed, name)
    rows.push(entry === undefined ? { name } : { ...entry, name })
  }
  return pageOf(rows)
}

function pageOf(rows: ListedRow[]): ListedPage {
  const next = rows.length < rowsPerPage ? undefined : rows.at(-1)?.name
  return next === undefined ? { rows } : { rows, next }
}
