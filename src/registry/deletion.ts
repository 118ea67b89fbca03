/** Deletion: a tag leaves its manifest, a manifest takes its tags along, a blob leaves one repository. */
import { type Digest, OciError, type Reference, type Repository } from '../oci/oci.ts'
import type { Change } from '../records/records.ts'
import { refusalOf } from './refusal.ts'
import type { Collaborators } from './registry.ts'

export interface Deletion {
  /** Throws `MANIFEST_UNKNOWN`, `DENIED`, or `UNSUPPORTED` where deletion is off. */
  deleteManifest(repository: Repository, reference: Reference): Promise<void>
  /** The bytes stay while another repository or a manifest needs them. Throws `BLOB_UNKNOWN` or `UNSUPPORTED`. */
  deleteBlob(repository: Repository, digest: Digest): Promise<void>
}

export function createDeletion({ store, names, elsewhere }: Collaborators, allowed: boolean): Deletion {
  function checkAllowed(): void {
    if (!allowed) throw new OciError('UNSUPPORTED', 'deletion is turned off on this node')
  }

  async function changesFor(repository: Repository, reference: Reference): Promise<Change[]> {
    if ('tag' in reference) {
      const entry = await names.findTag(repository, reference.tag)
      return entry === undefined ? [] : [{ kind: 'tag', repository, tag: reference.tag, value: undefined }]
    }
    const { digest } = reference
    if ((await names.findManifest(repository, digest)) === undefined) return []
    const tags = await names.tagsOf(repository, digest)
    return [
      ...tags.map((tag): Change => ({ kind: 'tag', repository, tag, value: undefined })),
      { kind: 'manifest', repository, digest, value: undefined },
    ]
  }

  async function deleteManifest(repository: Repository, reference: Reference): Promise<void> {
    checkAllowed()
    const name = 'tag' in reference ? reference.tag : reference.digest
    const changes = await changesFor(repository, reference)
    if (changes.length === 0) throw new OciError('MANIFEST_UNKNOWN', `${repository} has no manifest ${name}`)
    try {
      await names.publish(changes)
    } catch (error) {
      throw refusalOf(error)
    }
    // After the record: a crash in between leaves bytes for the collector, not a record without bytes.
    if ('digest' in reference) {
      await store.manifests.remove(repository, reference.digest)
      elsewhere.withdraw([reference.digest])
    }
  }

  async function deleteBlob(repository: Repository, digest: Digest): Promise<void> {
    checkAllowed()
    if (await store.links.remove(repository, digest)) return
    throw new OciError('BLOB_UNKNOWN', `${repository} has no blob ${digest}`)
  }

  return { deleteManifest, deleteBlob }
}
