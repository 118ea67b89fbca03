/** Operations on what a node stores. */
import { parseRepository } from '../../src/oci/oci.ts'
import type { ListedPage, ListedRow, Operation } from './operations.ts'

export const collect: Operation<'gc'> = ({ node }, { dryRun, graceMs }, _emit, { signal }) =>
  node.collect({ dryRun, signal, ...(graceMs === undefined ? {} : { graceMs }) })

export const verify: Operation<'verify'> = ({ node }, _params, onProgress, { signal }) =>
  node.store.verify({ signal, onProgress })

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
