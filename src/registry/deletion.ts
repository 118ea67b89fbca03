/** Deletion: a tag leaves its manifest, a manifest takes its tags along, a blob leaves one repository. */
import { type Digest, OciError, type Reference, type Repository } from '../oci/oci.ts'
import type { Change } from '../records/records.ts'
import { refusalOf } from './refusal.ts'
import type { Collaborators } from './registry.ts'

export interface Deletion {
  /** `by` is the account that deletes. Throws `MANIFEST_UNKNOWN`, `DENIED`, or `UNSUPPORTED` where deletion is off. */
  deleteManifest(
    repository: Repository,
    reference: Reference,
    options?: { by?: string | undefined },
  ): Promise<void>
  /** The bytes stay while another repository or a manifest needs them. Throws `BLOB_UNKNOWN` or `UNSUPPORTED`. */
  deleteBlob(repository: Repository, digest: Digest): Promise<void>
}

/**
 * After a manifest's tombstone: its link goes at once, unless it was pushed again. A crash in between leaves bytes for the
 * collector, not a record without bytes.
 */
export async function letGo(
  { store, names, elsewhere }: Pick<Collaborators, 'store' | 'names' | 'elsewhere'>,
  repository: Repository,
  digest: Digest,
): Promise<void> {
  const isLive = async (): Promise<boolean> => (await names.findManifest(repository, digest)) !== undefined
  if (!(await store.manifests.remove(repository, digest, isLive))) return
  if ((await store.links.anyRepository(digest)) === undefined) elsewhere.withdraw([digest])
}

export function createDeletion({ store, names, elsewhere }: Collaborators, allowed: boolean): Deletion {
  function checkAllowed(): void {
    if (!allowed) throw new OciError('UNSUPPORTED', 'deletion is turned off on this node')
  }

  async function changesFor(
    repository: Repository,
    reference: Reference,
    by: { by?: string },
  ): Promise<Change[]> {
    if ('tag' in reference) {
      const entry = await names.findTag(repository, reference.tag)
      return entry === undefined
        ? []
        : [{ kind: 'tag', repository, tag: reference.tag, value: undefined, ...by }]
    }
    const { digest } = reference
    if ((await names.findManifest(repository, digest)) === undefined) return []
    const tags = await names.tagsOf(repository, digest)
    return [
      ...tags.map(
        (tag): Change => ({ kind: 'tag', repository, tag, value: undefined, isTakenAlong: true, ...by }),
      ),
      { kind: 'manifest', repository, digest, value: undefined, ...by },
    ]
  }

  async function deleteManifest(
    repository: Repository,
    reference: Reference,
    { by }: { by?: string | undefined } = {},
  ): Promise<void> {
    checkAllowed()
    const name = 'tag' in reference ? reference.tag : reference.digest
    try {
      // Decided in the ledger's turn: a tag that is pushed before it is taken along, one that is pushed after it stands.
      await names.publish(async () => {
        const changes = await changesFor(repository, reference, by === undefined ? {} : { by })
        if (changes.length > 0) return changes
        throw new OciError(
          'MANIFEST_UNKNOWN',
          `${repository} has no ${'tag' in reference ? 'tag' : 'manifest'} ${name}`,
        )
      })
    } catch (error) {
      throw refusalOf(error)
    }
    if ('digest' in reference) await letGo({ store, names, elsewhere }, repository, reference.digest)
  }

  async function deleteBlob(repository: Repository, digest: Digest): Promise<void> {
    checkAllowed()
    if (await store.links.remove(repository, digest)) return
    throw new OciError('BLOB_UNKNOWN', `${repository} has no blob ${digest}`)
  }

  return { deleteManifest, deleteBlob }
}
