/** Registries outside the cluster as the registry sees them: whose content it serves under their names. */
import type { Digest, MirrorWord, OciError, Repository, Tag } from '../oci/oci.ts'
import type { TagEntry } from '../records/records.ts'
import type { Asked } from './elsewhere.ts'

/** Why what is mirrored is served although its upstream was not asked as lately as the operator wants. */
export interface Staleness {
  upstream: string
  /** Absent where this node does not know that it ever was. */
  checkedMs?: number
  /** True when the upstream was asked for this answer, in vain. */
  asked: boolean
}

export interface MirroredTag {
  digest: Digest
  /** Until when it may be answered again without asking; absent for a tag that was pushed to the cluster. */
  freshUntilMs?: number
  stale?: Staleness
}

export interface MirroredReferrers {
  /** In byte order; absent for those that the cluster has records of. */
  digests?: readonly Digest[]
  stale?: Staleness
}

export interface Mirror {
  /** What a name without a registry means when the cluster has no such repository. */
  readonly fallback: string | undefined
  /** Names that are mirrored, for messages. */
  readonly mirrored: readonly string[]
  /** By whose word `name`, which begins with the upstream's, belongs to it; `undefined` for the cluster's own. */
  wordFor(upstream: string, name: string): MirrorWord | undefined
  /** Why nobody is given this upstream's content here, if so: only its own users may read it, and clients are not told apart. */
  refusal(upstream: string): OciError | undefined
  /**
   * What the tag points to, `standing` being its record here: as fresh as the operator wants it, or stale where the upstream
   * does not answer. Its manifest's record is here when it resolves. `undefined` when the upstream has no such tag,
   * and `silence` where members do not answer that may have it. Throws
   * `UNAVAILABLE` or `TOOMANYREQUESTS` when nothing is known and the upstream does not answer, `DENIED` where this node may not
   * publish what it said.
   */
  resolveTag(repository: Repository, tag: Tag, standing: TagEntry | undefined): Promise<MirroredTag | Asked>
  /**
   * Which manifests refer to `subject`, as its upstream said within the last `maxAgeMs` (default: as fresh as a tag), or as was
   * heard before, where the upstream does not answer. Their records are here. Nothing for the cluster's own. Throws `UNAVAILABLE` or `TOOMANYREQUESTS` where
   * not even the subject is known.
   */
  findReferrers(
    repository: Repository,
    subject: Digest,
    options?: { maxAgeMs?: number },
  ): Promise<MirroredReferrers>
  /** Brings a manifest from its upstream to a member, and its record here; false when the upstream has none. Throws as `resolveTag`. */
  bringManifest(repository: Repository, digest: Digest): Promise<boolean>
  /** Whether an upstream that answers can be asked for what is mirrored under this name, by this node or another. */
  reaches(repository: Repository): boolean
  /** When this node itself took the manifest from an upstream, if it did lately; milliseconds since the epoch. */
  broughtMs(digest: Digest): number | undefined
}

/** A node that mirrors nothing. */
export const noMirror: Mirror = {
  fallback: undefined,
  mirrored: [],
  wordFor: () => undefined,
  refusal: () => undefined,
  resolveTag: async (_repository, _tag, standing) => standing,
  findReferrers: async () => ({}),
  bringManifest: async () => false,
  reaches: () => false,
  broughtMs: () => undefined,
}
