/** How operations write records: as this node, or as the authority of the cluster. */
import { type Digest, OciError, type Repository, type Tag } from '../../src/oci/oci.ts'
import { type Change, type Decision, NotPermittedError } from '../../src/records/records.ts'
import { findHome } from '../../src/registry/registry.ts'
import type { OperationContext } from './operations.ts'

/** Throws NotPermittedError, with what would do in its message where something would. */
export async function publishChanges(
  { node: { names }, origin }: OperationContext,
  asAuthority: boolean,
  changes: Change[] | Decision,
): Promise<void> {
  if (asAuthority) return await names.publishAsAuthority(changes)
  try {
    await names.publish(changes)
  } catch (error) {
    // What would do is a flag of commands.
    if (!(error instanceof NotPermittedError) || !names.authority.holds() || origin !== undefined) throw error
    throw new NotPermittedError(
      `${error.rule}. This node holds the authority key: --as-authority signs with it`,
    )
  }
}

/**
 * The tag together with what it points to, which is stated again as a push does: so this is a later say than a deletion of the
 * manifest elsewhere. Throws `MANIFEST_UNKNOWN` where it was deleted here.
 */
export function tagManifest(
  { node: { names }, origin }: OperationContext,
  { repository, tag, digest }: { repository: Repository; tag: Tag; digest: Digest },
): Decision {
  return async () => {
    const entry = await names.findManifest(repository, digest)
    if (entry === undefined) {
      throw new OciError(
        'MANIFEST_UNKNOWN',
        `${repository} has no manifest ${digest}; it was deleted meanwhile`,
      )
    }
    const { digest: _digest, writtenMs: _writtenMs, author: _author, ...value } = entry
    const { mediaType, size } = value
    const home = await findHome(names, repository, digest)
    const by = origin?.account === undefined ? {} : { by: origin.account }
    return [
      { kind: 'manifest', repository, digest, value, ...by },
      { kind: 'tag', repository, tag, value: { digest, mediaType, size, ...home }, ...by },
    ]
  }
}
