/**
 * What a node holds: blobs and uploads as files, everything else in LevelDB.
 *
 * The rules that keep it whole:
 * - A file under `blobs/` has its digest's name, and got it by rename after its bytes were hashed and synced.
 *   So the files say which blobs exist, and no index can disagree with them.
 * - A *link* lets one repository read one blob or manifest. It carries the time of its last use, the *lease*.
 * - A *reference* says that a manifest of a repository refers to a digest. A manifest's bytes, its link and its
 *   references are written in one synced batch.
 * - The collector takes a link that no reference holds once its lease is older than the grace time, and a blob or
 *   manifest that has no link and no reference. A blob's file time is a lease as well: that of a blob not linked yet.
 * - What is without a tag goes in a time of its own, counted since the collector saw it so: see `Untagging`.
 */
import type { Provenance } from '../base/base.ts'
import type { Digest, DigestAlgorithm, Repository } from '../oci/oci.ts'

export type { ScrubStatus } from './blobs/scrub.ts'
export { isReadFault } from './blobs/unreadable.ts'
export { type Database, openDatabase } from './database/database.ts'
export { describeDropped, readDropped } from './database/database-log.ts'
export type { CutTable } from './database/table-files.ts'
export {
  BlobMissingError,
  BlobRottenError,
  BlobTruncatedError,
  DatabaseFaultError,
  StoreFullError,
  StoreLockedError,
  UploadConflictError,
  UploadLimitError,
  UploadUnknownError,
  WorkerLostError,
} from './errors.ts'
export { type FileStore, openStore, type StoreOptions } from './file-store.ts'
export { diskUsage } from './files/disk-space.ts'
export { type MemoryStoreOptions, memoryStore } from './memory/memory-store.ts'
export type { PartialBlob, PartialPlan, Partials } from './partials/partial.ts'
export type { Candidate, EvictionReason } from './room/eviction-order.ts'
export type { EvictionPlan } from './room/evictor.ts'
export type { AskingBudget, Belonging, EvictionRules, ManifestHold } from './room/residents.ts'
export type { Room, RoomStatus } from './room/room.ts'

export interface Store extends AsyncDisposable {
  readonly blobs: Blobs
  readonly uploads: Uploads
  readonly manifests: Manifests
  readonly links: Links
  /** Runs `work` while nothing of `digests` can be collected or deleted. Waits for what has begun of that. */
  hold<T>(digests: Iterable<Digest>, work: () => Promise<T>): Promise<T>
  /**
   * Removes what nothing needs, while everything else goes on. `isLive` tells whether the repository still has that
   * manifest; a link to a manifest that is not live loses its references once its lease has run out.
   */
  collect(options: CollectOptions): Promise<CollectReport>
  /** Whether the disk did not give the blob, so that it was set aside, and nothing has come in its place. */
  isUnread(digest: Digest): Promise<boolean>
  /** Hashes everything again, one item after the other; what is wrong is moved to `quarantine/` and reported. */
  verify(options?: VerifyOptions): Promise<VerifyReport>
}

export interface Blobs {
  stat(digest: Digest): Promise<{ size: number } | undefined>
  /**
   * `undefined` when it is not here. The open blob can be read to its end even when it is collected meanwhile. Reading it throws
   * BlobRottenError, before its last chunk at the latest, when the bytes are not those that were stored.
   */
  open(digest: Digest, options?: OpenOptions): Promise<OpenBlob | undefined>
  /** Every blob here, in no order. */
  list(options?: { signal?: AbortSignal }): AsyncIterable<{ digest: Digest; size: number }>
  /** Streams bytes in and names them only if they hash to `digest`; throws `DIGEST_INVALID` otherwise. For content from peers. */
  write(digest: Digest, body: AsyncIterable<Uint8Array>, options?: BodyOptions): Promise<{ size: number }>
}

export interface OpenOptions {
  /** Whoever gets the bytes hashes them, so that they are not checked here as well. */
  receiverProves?: boolean
}

export interface BodyOptions {
  /** The chunks' memory may be taken away from the caller (detached), which saves a copy. For a request's own body. */
  transfer?: boolean
  signal?: AbortSignal
}

export interface AppendOptions extends BodyOptions {
  offset?: number
}

export interface PutOptions extends AppendOptions {
  /** Asked once all bytes are here, before they get a name. Where it throws, the session is dropped. */
  admit?: (bytes: number) => Promise<void>
}

export interface OpenBlob extends AsyncDisposable {
  readonly size: number
  /** All of it, where that is in memory; not to be written to. */
  readonly bytes?: Uint8Array
  /**
   * The bytes from `start` (inclusive) to `end` (exclusive), read ahead of the consumer.
   * A chunk's memory is used again after `next()` is called: finish with it, or copy it, before that.
   * Throws when the file is shorter than it was.
   */
  chunks(start: number, end: number, options?: { signal?: AbortSignal }): AsyncIterable<Uint8Array>
  /** Where what was read came from; absent when all of it was here. */
  provenance?(): Provenance
}

export interface CreateOptions {
  algorithm?: DigestAlgorithm | undefined
  /** Who uploads: sessions of the same client are counted together. */
  client?: string | undefined
}

export interface UploadState {
  id: string
  repository: Repository
  /** Bytes received; the offset at which the next chunk starts. */
  offset: number
}

/**
 * Upload sessions survive a restart. Every call names the repository that started the session: an id alone, or with
 * another repository, finds nothing (CVE-2026-32589).
 */
export interface Uploads {
  /** In memory alone until its first byte; the sessions that have moved least for their time give way when there are too many. */
  create(repository: Repository, options?: CreateOptions): Promise<UploadState>
  find(repository: Repository, id: string): Promise<UploadState | undefined>
  /**
   * Appends a body at `offset` (default: where the session stands). A second append to the session cuts the first off, which
   * throws UploadConflictError, and goes on from what was kept. When the body breaks off, or the disk fills (StoreFullError), what arrived stays.
   * Throws UploadConflictError (with the session's offset) when `offset` is not where the session stands,
   * UploadLimitError past the largest blob, or for a first byte where too many uploads are at work.
   */
  append(
    repository: Repository,
    id: string,
    body: AsyncIterable<Uint8Array>,
    options?: AppendOptions,
  ): Promise<UploadState>
  /** `append` and `finish` in one go, which makes of a small blob a file at once. */
  put(
    repository: Repository,
    id: string,
    body: AsyncIterable<Uint8Array>,
    digest: Digest,
    options?: PutOptions,
  ): Promise<{ size: number }>
  /**
   * Proves the bytes, makes them durable under their digest and links them to the repository.
   * Throws `DIGEST_INVALID` and drops the session when they hash to something else.
   */
  finish(repository: Repository, id: string, digest: Digest): Promise<{ size: number }>
  /** Returns false when there was no such session. */
  cancel(repository: Repository, id: string): Promise<boolean>
  /** Drops sessions that were idle for longer than `idleMs`; returns how many. */
  expire(idleMs: number): Promise<number>
}

export interface ManifestWrite {
  repository: Repository
  digest: Digest
  bytes: Uint8Array
  /** Everything that the manifest refers to, its subject excepted: kept while the manifest is. */
  references: Digest[]
  /** Those of `references` that the repository has to hold already. */
  required: Digest[]
}

/** Manifests are small, so their bytes are LevelDB values, verbatim. */
export interface Manifests {
  /** Durable when it resolves. Throws BlobMissingError naming the `required` that the repository does not hold. */
  put(manifest: ManifestWrite): Promise<void>
  get(digest: Digest): Promise<Uint8Array | undefined>
  /**
   * Removes a repository's link and the references of its manifest, unless somebody holds it or `isLive` says that it has come
   * back; the bytes go when the collector finds them unused. Returns false where it stays, or never was.
   */
  remove(repository: Repository, digest: Digest, isLive: () => Promise<boolean>): Promise<boolean>
  /** Every manifest's digest here, in order. */
  list(): AsyncIterable<Digest>
  /** Those of the repository that refer to the digest. */
  referringTo(repository: Repository, digest: Digest): AsyncIterable<Digest>
}

export interface Links {
  /** Whether the repository may read the digest, renewing its lease: whoever was told "yes" has the grace time to refer to it. */
  has(repository: Repository, digest: Digest): Promise<boolean>
  /** Some repository that holds the digest, for a mount that does not name its source. */
  anyRepository(digest: Digest): Promise<Repository | undefined>
  /** All that hold it; their leases stay as they are. */
  repositoriesOf(digest: Digest): AsyncIterable<Repository>
  /** With `durable`, it survives a power cut when it resolves: for what a client is told. */
  add(repository: Repository, digests: Digest[], options?: { durable?: boolean }): Promise<void>
  /** A blob's; a manifest's is left to `Manifests.remove`. Returns false when there was no such link. */
  remove(repository: Repository, digest: Digest): Promise<boolean>
}

/** A manifest that no tag and no rule names, as the records say. */
export interface Untagged {
  /** When it was stated last: another statement begins its time anew. */
  statedMs: number
  /** It stays while this does. */
  subject?: Digest
}

/**
 * Live manifests without a name. One goes from this node when it was seen so for `keepMs` and was not asked for in that
 * time; what it lists goes with it, and what refers to it, unless that was asked for lately or something else holds it.
 */
export interface Untagging {
  keepMs: number
  /** Asked of a live manifest; `undefined` for one that something names. */
  find(repository: Repository, digest: Digest): Promise<Untagged | undefined>
}

export interface CollectOptions {
  isLive(repository: Repository, digest: Digest): Promise<boolean>
  /** Absent: what is live stays. */
  untagging?: Untagging
  /** Leases younger than this hold their content. */
  graceMs: number
  dryRun?: boolean
  signal?: AbortSignal
  onProgress?: (done: CollectProgress) => void
}

export interface CollectProgress {
  /** Links, blobs and manifests that were looked at. */
  checked: number
  /** Of what nothing needs, so far. */
  bytes: number
}

export interface CollectReport {
  blobs: number
  manifests: number
  links: number
  /** Of blobs and manifests together. */
  bytes: number
}

export interface VerifyOptions {
  signal?: AbortSignal
  onProgress?: (done: VerifyProgress) => void
}

export interface VerifyProgress {
  blobs: number
  manifests: number
  bytes: number
}

export interface VerifyReport extends VerifyProgress {
  /** What did not hash to its name and was quarantined, with where it lies now. */
  corrupt: { digest: Digest; path: string }[]
  /** What the system could not read, which says nothing of what it is. */
  unreadable: Digest[]
}
