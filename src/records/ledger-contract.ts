/** What a ledger promises, and what it is opened with. */
import type { Level } from 'level'
import type { Clock, Logger, Metrics } from '../base/base.ts'
import type { Repository } from '../oci/oci.ts'
import type { Identity } from '../wire/wire.ts'
import type { AccountEntry } from './account.ts'
import type { Authority } from './authority.ts'
import type { Drop } from './govern.ts'
import type { ApplyOptions, ApplyReport } from './inflow.ts'
import type { MembersTime } from './members-time.ts'
import type { Policy } from './policy.ts'
import type { Positions } from './positions.ts'
import type { RecordKey } from './record.ts'
import type { Change, Decision, Names, Page } from './records.ts'
import type { Roster } from './roster.ts'
import type { AuditReport } from './row-check.ts'
import type { Permission, Signer } from './rules.ts'
import type { TagCount } from './tag-counts.ts'
import type { RecordListener } from './writer.ts'

export interface Ledger extends Names, AsyncDisposable {
  /**
   * Takes records from a peer. Never throws for what they hold: the report says. Records that stand already change nothing.
   * Those whose key somebody here asked for are `wanted`, and not counted against what others may write (intake.ts).
   */
  apply(records: Uint8Array[], options?: ApplyOptions): Promise<ApplyReport>
  /** The current record of `key` as signed, tombstones included. */
  findRecord(key: RecordKey): Uint8Array | undefined
  /** Calls `listener` with records that became current. Returns the unsubscriber. */
  onRecords(listener: RecordListener): () => void
  /** How many tags a repository has, up to a thousand. */
  countTags(repository: Repository): Promise<TagCount>
  policy(): Policy
  /** An account that stands and that the policy lets its author write; removed ones are absent. */
  findAccount(name: string): AccountEntry | undefined
  /** Those that come after `after` in byte order, at most `limit`. */
  listAccounts(page: Page): Promise<AccountEntry[]>
  /** Which key governs, how it came to, and what is done with it where it is. */
  readonly authority: Authority
  /** Whether the policy bans that peer. */
  isBanned(peerId: string): boolean
  /**
   * As what a public key of 32 bytes signs for the cluster, by the policy of now: the authority, or an administrator that is not
   * banned; `undefined` for everybody else. Ask anew for each thing that was signed: the policy changes.
   */
  signsAs(publicKey: Uint8Array): Signer | undefined
  /** Whether the policy names it as one that may write somewhere, or seals. */
  isNamed(peerId: string): boolean
  /** Whether that peer may do nothing but be seen: the policy wants members to be approved, and it is not. */
  isGuest(peerId: string): boolean
  /** Who belongs to the cluster as far as somebody has said so, and invitations. */
  roster(): Roster
  /** Why that peer may publish under a repository's name: a rule of the policy, or that none covers it; `undefined` where it may not. */
  permission(peerId: string, repository: string): Permission | undefined
  /**
   * Makes it the cluster's policy. What it would exclude, but for what is to be dropped, is signed again by the authority,
   * and what it makes immutable sealed, so that nothing that stands goes away. Throws `NOT_PERMITTED` without the authority
   * key, `CLOCK_WRONG`, and `MALFORMED` for a pattern or peer id that is none.
   */
  setPolicy(policy: Policy, options?: SetPolicyOptions): Promise<void>
  /** As `publish`, signed by the authority: the one way to move or delete an immutable tag. */
  publishAsAuthority(changes: Change[] | Decision): Promise<void>
  /** Buries old tombstones and drops what the policy excludes; it also runs by itself. */
  sweep(options?: { signal?: AbortSignal }): Promise<void>
  /** Holds all rows against the records, and these against their hashes, and puts right what a disk changed; it also runs by itself. */
  audit(options?: { signal?: AbortSignal }): Promise<AuditReport>
  /** What the last audit found that found something, since the start. */
  damage(): AuditReport | undefined
  /** How many records this code cannot read: they count as missing. */
  unreadable(): number
  /** What reconciliation compares. Resolves once every record has been counted. */
  positions(): Promise<Positions>
}

export interface SetPolicyOptions {
  drop?: Drop
  /** Peer ids of those that are members when members come to need an approval. */
  present?: string[]
}

export interface LedgerOptions {
  db: Level
  /** This node's key pair. */
  identity: Identity
  /** The public key of the cluster's first authority, which its tokens name, 32 bytes. */
  authority: Uint8Array
  /** What this node holds as the authority's key pair; it counts while that governs. */
  authorityIdentity?: Identity | undefined
  /** The time of day: what is signed is stamped with it. */
  clock?: Clock
  /** Measures durations. Default `clock` where that is given. */
  steady?: Clock
  /** What members say of the time; nothing is signed while they say that the clock is wrong. */
  time?: MembersTime
  logger?: Logger
  metrics?: Metrics
  /** Default an hour. */
  sweepEveryMs?: number
  /** Default a day; it runs soon after a read came upon damage all the same. */
  auditEveryMs?: number
}
