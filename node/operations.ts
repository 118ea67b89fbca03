/** What commands ask of a node: the same operations on a running one, over its socket, and on a stopped one's store. */
import { parseRepository } from '../src/oci/oci.ts'
import type { CollectReport, VerifyProgress, VerifyReport } from '../src/store/store.ts'
import type { LocalNode } from './local-node.ts'
import { UsageError } from './settings.ts'

/** The types of each operation: what it is given, what it reports while it works, and what it ends with. */
export interface OperationTypes {
  gc: { params: { dryRun: boolean; graceMs?: number }; event: never; result: CollectReport }
  verify: { params: Record<string, never>; event: VerifyProgress; result: VerifyReport }
  ls: { params: { repository?: string; after?: string }; event: never; result: ListedPage }
}

export type OperationName = keyof OperationTypes

export interface ListedPage {
  rows: ListedRow[]
  /** The `after` of the next page. */
  next?: string
}

/** A repository, or a tag with what it points to. */
export interface ListedRow {
  name: string
  digest?: string
  size?: number
  writtenMs?: number
}

export type Operation<N extends OperationName> = (
  node: LocalNode,
  params: OperationTypes[N]['params'],
  emit: (event: OperationTypes[N]['event']) => void,
  options: { signal: AbortSignal },
) => Promise<OperationTypes[N]['result']>

const operations: { [N in OperationName]: Operation<N> } = {
  gc: (node, { dryRun, graceMs }, _emit, { signal }) => {
    return node.collect({ dryRun, signal, ...(graceMs === undefined ? {} : { graceMs }) })
  },
  verify: ({ store }, _params, onProgress, { signal }) => store.verify({ signal, onProgress }),
  ls: listPage,
}

/** Throws UsageError for a name that is no operation, as an older or newer command may send it. */
export function runOperation(
  node: LocalNode,
  name: string,
  params: unknown,
  emit: (event: unknown) => void,
  options: { signal: AbortSignal },
): Promise<unknown> {
  if (!Object.hasOwn(operations, name)) {
    throw new UsageError(
      `this node knows no operation "${name}"; is the command of another version than the node?`,
    )
  }
  // The command that sends the parameters is this program; a stranger cannot open the socket.
  const operation = operations[name as OperationName] as Operation<OperationName>
  return operation(node, params as never, emit, options)
}

const rowsPerPage = 500

async function listPage(
  { names }: LocalNode,
  { repository, after }: OperationTypes['ls']['params'],
): Promise<ListedPage> {
  const page = { limit: rowsPerPage, ...(after === undefined ? {} : { after }) }
  const listed = repository === undefined ? undefined : parseRepository(repository)
  const items = listed === undefined ? await names.listRepositories(page) : await names.listTags(listed, page)
  const rows: ListedRow[] = []
  for (const name of items) {
    const entry = listed === undefined ? undefined : await names.findTag(listed, name as never)
    rows.push(
      entry === undefined
        ? { name }
        : { name, digest: entry.digest, size: entry.size, writtenMs: entry.writtenMs },
    )
  }
  const next = items.length < rowsPerPage ? undefined : items.at(-1)
  return next === undefined ? { rows } : { rows, next }
}
