/** How operations write records: as this node, or as the authority of the cluster. */
import { type Change, NotPermittedError } from '../../src/records/records.ts'
import type { OperationContext } from './operations.ts'

/** Throws NotPermittedError, with what would do in its message where something would. */
export async function publishChanges(
  { node: { names, membership } }: OperationContext,
  asAuthority: boolean,
  changes: Change[],
): Promise<void> {
  if (asAuthority) return await names.publishAsAuthority(changes)
  try {
    await names.publish(changes)
  } catch (error) {
    if (!(error instanceof NotPermittedError) || membership.authority === undefined) throw error
    throw new NotPermittedError(
      `${error.rule}. This node holds the authority key: --as-authority signs with it`,
    )
  }
}
