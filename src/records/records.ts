/**
 * The small signed statements that every node keeps: tags, manifests (referrers among them), accounts and policy. A ledger holds the current one of each
 * key; of two for the same key the newer hybrid logical time wins, ties by author, so that every ledger that has seen
 * the same records is the same.
 */
import type { Digest, Repository, Tag } from '../oci/oci.ts'
import type { AccountValue } from './account.ts'
import type { ManifestEntry, TagEntry } from './entries.ts'
import type { AdmissionValue, InvitationValue, MemberValue } from './membership.ts'
import type { RosterKey } from './record.ts'

export { accessAgeValue, maxAccessAgeMs } from './access-age.ts'
export { type AccessRight, type AccessRule, accessRights, type ClusterRight } from './access-rule.ts'
export {
  type AccountEntry,
  type AccountValue,
  isAccountName,
  isGroupName,
  isRobotName,
  maxAccountGroups,
  type PasswordHash,
  robotName,
} from './account.ts'
export { answerQuestions, askedFor, askRecords } from './ask.ts'
export type { Authority, AuthorityState } from './authority.ts'
export type { ManifestEntry, TagEntry } from './entries.ts'
export { ClockWrongError, NotPermittedError, PeerMisbehavedError, RecordTooLargeError } from './errors.ts'
export { matchesGlob } from './glob.ts'
export type { Drop } from './govern.ts'
export type { ApplyReport, Refusal } from './inflow.ts'
export { openLedger } from './ledger.ts'
export type { Ledger, LedgerOptions } from './ledger-contract.ts'
export { MembersTime } from './members-time.ts'
export {
  type InvitationValue,
  invitationId,
  type MemberValue,
  maxUses,
  proveInvitation,
  readProof,
  verifyProof,
} from './membership.ts'
export type { PlacementKeys, PlacementRule } from './placement-rule.ts'
export { type MembersMode, membersModes, type Policy } from './policy.ts'
export { answerReconciliation, type ReconcileOptions, type ReconcileReport, reconcile } from './reconcile.ts'
export {
  maxRecordBytes,
  type RecordKey,
  readRecordAuthor,
  readRecordKey,
  readRecordTimeMs,
} from './record.ts'
export { openRepair, type Repair, type RepairOptions, type RepairPeers } from './repair.ts'
export { readRestored } from './restored.ts'
export type { QuotaRule, RetentionRule } from './room-rules.ts'
export { endOf, type Invitation, memberValueOf, type Roster, type RosterEntry } from './roster.ts'
export type { AuditReport } from './row-check.ts'
export type { Signer } from './rules.ts'
export { readAccount, readInvitation, signAccount, signInvitation, signMember } from './sign-apart.ts'
export { maxSpreadBytes, type Spread, type SpreadOptions, spreadRecords, type Verdict } from './spread.ts'
export { approve, type Statement } from './succession.ts'

/** The registry's view of a ledger. Writes sign with this node's key. */
export interface Names {
  /** Live: tombstones are absent, and so is a tag whose manifest was deleted after it. */
  findTag(repository: Repository, tag: Tag): Promise<TagEntry | undefined>
  findManifest(repository: Repository, digest: Digest): Promise<ManifestEntry | undefined>
  /** Tags in byte order that come after `after`, at most `limit`. */
  listTags(repository: Repository, page: Page): Promise<Tag[]>
  /** The repositories that have a live manifest, in byte order. */
  listRepositories(page: Page): Promise<Repository[]>
  hasRepository(repository: Repository): Promise<boolean>
  /** Whether one of its live tags was pushed to the cluster, and not heard from an upstream. */
  hasPushedTag(repository: Repository): Promise<boolean>
  /** The repository's live manifests in order of digest. */
  listManifests(repository: Repository, page: Page): Promise<ManifestEntry[]>
  /** Live manifests of the repository whose subject is `subject`, in order of digest. */
  listReferrers(repository: Repository, subject: Digest, page: Page): Promise<ManifestEntry[]>
  /** The repository's live tags that point to `digest`, the first of them with `limit`; none when its manifest was deleted after them. */
  tagsOf(repository: Repository, digest: Digest, options?: { limit?: number }): Promise<Tag[]>
  /**
   * Signs and stores all of them or none; durable when it resolves. A function decides on them while nothing else is
   * written, so that what it reads stands until they do; it must not wait for another `publish`.
   * Throws NotPermittedError (naming the rule) when this node may not write one of them, and what the function throws.
   */
  publish(changes: Change[] | Decision): Promise<void>
  /** Calls `listener` with the keys whose current record changed, from here or from a peer. Returns the unsubscriber. */
  onChange(listener: (keys: ChangedKey[]) => void): () => void
}

export type Decision = () => Promise<Change[]>

export interface Page {
  after?: string
  limit: number
}

export type Change =
  | {
      kind: 'tag'
      repository: Repository
      tag: Tag
      value: Omit<TagEntry, 'writtenMs' | 'author' | 'by'> | undefined
      /** Deleted with its manifest: the tombstone counts against what stands here, and not against a later push elsewhere. */
      isTakenAlong?: true
      /** The account in whose name it is written. */
      by?: string
    }
  | {
      kind: 'manifest'
      repository: Repository
      digest: Digest
      /** `undefined` deletes: a tombstone. */
      value: Omit<ManifestEntry, 'digest' | 'writtenMs' | 'author' | 'by'> | undefined
      by?: string
    }
  | { kind: 'account'; name: string; value: AccountValue | undefined }
  | { kind: 'invitation'; id: string; value: InvitationValue }
  | { kind: 'member'; peer: string; value: MemberValue }
  | { kind: 'admission'; invitation: string; peer: string; value: AdmissionValue }

export type ChangedKey =
  | { kind: 'tag'; repository: Repository; tag: Tag; deleted: boolean }
  | { kind: 'manifest'; repository: Repository; digest: Digest; deleted: boolean }
  | { kind: 'account'; name: string; deleted: boolean }
  | (RosterKey & { deleted: boolean })
  | { kind: 'policy' }
