/** What commands ask of a node: the same operations on a running one, over its socket, and on a stopped one's data. */
import type { ExchangeStatus } from '../../src/exchange/exchange.ts'
import type { RuleText } from '../../src/placement/placement.ts'
import type { MembersMode, Policy } from '../../src/records/records.ts'
import type { Registry } from '../../src/registry/registry.ts'
import type { CollectProgress, CollectReport, VerifyProgress, VerifyReport } from '../../src/store/store.ts'
import type { Member } from '../../src/swarm/swarm.ts'
import type { UpstreamStatus, Upstreams } from '../../src/upstream/upstream.ts'
import type { Origin } from '../audit/audited-operations.ts'
import type { Proposal } from '../authority-proposal.ts'
import type { ClientConfig, ClientName } from '../client-config.ts'
import type { ClusterMember } from '../cluster/cluster.ts'
import type { LostMember } from '../cluster/lost-members.ts'
import type { NodeCopies } from '../copies.ts'
import type { LocalNode } from '../local-node.ts'
import type { ExplainedAccess, MadePerson, MadeRobot } from './account.ts'
import type { ImportedManifest, ImportedTag, ImportOutcome, NamedRecord } from './archive.ts'
import type { ShownAuthority } from './authority.ts'
import type { DrainEvent, Drained } from './drain.ts'
import type { EvictedImage } from './evict.ts'
import type { ImageDetails } from './inspect.ts'
import type { ListedRule, ShownRule } from './keep.ts'
import type { DiskUse } from './listing.ts'
import type { FoundMember } from './member.ts'
import type { Reach } from './reach.ts'
import type { RemovedImage } from './remove.ts'
import type { RetentionReport } from './retention.ts'
import type { RoomPlan } from './room.ts'
import type { ShownAccount, ShownInvitation, ShownMember } from './shown.ts'
import type { NodeStatus, RunningStatus } from './status.ts'
import type { TaggedImage, TagProgress } from './tag.ts'
import type { WarmEvent, WarmedImage } from './warm.ts'

type Nothing = Record<string, never>

/** The types of each operation: what it is given, what it reports while it works, and what it ends with. */
export interface OperationTypes {
  gc: {
    params: { dryRun: boolean; graceMs?: number; untaggedMs?: number }
    event: CollectProgress
    /** `uploads`: that broke off, where some went. */
    result: CollectReport & { uploads?: number }
  }
  /** What `gc` would remove now, and what would go to make room. */
  'gc-plan': { params: { graceMs?: number; untaggedMs?: number }; event: CollectProgress; result: RoomPlan }
  /** `force` takes also the last copy, and what a keep rule holds. */
  evict: { params: { images: string[]; force: boolean }; event: never; result: { images: EvictedImage[] } }
  /** `force` deletes also while many members are away. */
  retention: { params: { dryRun: boolean; force?: boolean }; event: never; result: RetentionReport }
  verify: { params: Nothing; event: VerifyProgress & { totalBytes: number }; result: VerifyReport }
  /** `details` counts tags and looks through images. */
  ls: {
    params: { repository?: string; after?: string; details?: boolean }
    event: never
    result: ListedPage
  }
  du: { params: Nothing; event: never; result: DiskUse }
  status: { params: Nothing; event: never; result: NodeStatus }
  reach: { params: Nothing; event: never; result: Reach }
  /** `holders` asks members what they hold of it. */
  inspect: { params: { image: string; holders: boolean }; event: never; result: ImageDetails }
  tag: {
    params: { source: string; target: string; asAuthority: boolean }
    event: TagProgress
    result: TaggedImage
  }
  /** `whole` lets a repository be named; `dryRun` only tells what would go. */
  remove: {
    params: { image: string; whole: boolean; dryRun: boolean; asAuthority: boolean }
    event: never
    result: RemovedImage
  }
  token: { params: Nothing; event: never; result: { token: string; running: boolean } }
  /** `expiresMs` from now. */
  'token-create': {
    params: { expiresMs: number; uses: number; approved: boolean; site?: string }
    event: never
    result: { token: string; invitation: ShownInvitation; running: boolean }
  }
  'token-ls': { params: Nothing; event: never; result: { invitations: ShownInvitation[] } }
  /** `record` as signed, in Base64, where there is that invitation. */
  'token-find': { params: { id: string }; event: never; result: { record?: string } }
  /** The id or the beginning of one. */
  'token-revoke': { params: { id: string }; event: never; result: ShownInvitation }
  /** `members` are those that are given the new secret. */
  'token-rotate': {
    params: { graceMs: number }
    event: never
    result: { token: string; running: boolean; members: string[] }
  }
  peers: { params: Nothing; event: never; result: PeerList }
  members: {
    params: Nothing
    event: never
    result: { mode: MembersMode; self: string; members: ShownMember[] }
  }
  /** `who` is a peer id, the beginning of a known one, or a name; `name` is what it is to be called. */
  'member-find': { params: { who: string; name?: string }; event: never; result: FoundMember }
  'member-approve': { params: { who: string; name?: string }; event: never; result: { peer: string } }
  'member-forget': { params: { who: string }; event: never; result: { peer: string } }
  'member-rename': { params: { who: string; name: string }; event: never; result: { peer: string } }
  'member-ban': {
    params: { who: string; banned: boolean; drop?: boolean; force?: boolean }
    event: never
    /** `changed`: it was not so before. */
    result: { peer: string; changed: boolean; policy: Policy }
  }
  upstreams: { params: Nothing; event: never; result: UpstreamStatus[] }
  'client-config': { params: { client: ClientName }; event: never; result: ClientConfig }
  'policy-show': { params: Nothing; event: never; result: Policy }
  /** Whom it would make members beside those that are. */
  'policy-plan': { params: { policy: unknown }; event: never; result: { approves: ShownMember[] } }
  /** `force` lets a node ban itself. */
  'policy-set': { params: { policy: unknown; force?: boolean }; event: never; result: Policy }
  'policy-ban': {
    params: { peer: string; banned: boolean; drop?: boolean; force?: boolean }
    event: never
    result: Policy
  }
  'authority-export': { params: { drop: boolean }; event: never; result: { key: string; sealers: string[] } }
  'authority-import': { params: { key: string }; event: never; result: Nothing }
  'authority-show': { params: Nothing; event: never; result: ShownAuthority }
  'authority-rotate': { params: Nothing; event: never; result: ShownAuthority }
  'authority-follow': { params: { peer: string }; event: never; result: ShownAuthority }
  /** To replace a lost authority key; the new key stays on this node. */
  'authority-propose': { params: Nothing; event: never; result: Proposal }
  'authority-sign': { params: { proposal: Proposal }; event: never; result: Proposal }
  'authority-apply': { params: { proposal: Proposal }; event: never; result: ShownAuthority }
  'account-add': {
    params: { name: string; password: string; groups: string[] }
    event: never
    result: MadePerson
  }
  /** The name with or without the prefix of robots. */
  'account-robot': {
    params: { name: string; groups: string[]; expiresMs?: number; note?: string }
    event: never
    result: MadeRobot
  }
  'account-password': { params: { name: string; password: string }; event: never; result: ShownAccount }
  /** Another secret for a robot. */
  'account-renew': { params: { name: string; expiresMs?: number }; event: never; result: MadeRobot }
  'account-groups': { params: { name: string; groups: string[] }; event: never; result: ShownAccount }
  'account-disable': { params: { name: string; disabled: boolean }; event: never; result: ShownAccount }
  'account-rm': { params: { name: string }; event: never; result: { name: string } }
  'account-ls': {
    params: { after?: string }
    event: never
    result: { accounts: ShownAccount[]; next?: string }
  }
  /** As signed, in Base64, by name; those that there are. */
  'account-records': {
    params: { names: string[] }
    event: never
    /** `http`: where the running node is reached. */
    result: { records: Record<string, string>; hasRules: boolean; http?: string }
  }
  /** A record that an administrator's own key signed. */
  'record-submit': {
    params: { record: string }
    event: never
    /** `author` signed it, as a peer id. */
    result: { kind: 'account' | 'member' | 'invitation'; name: string; author: string }
  }
  /** For people, by id; those without a name are left out. */
  called: { params: { peers: string[] }; event: never; result: Record<string, string> }
  'access-explain': { params: { who: string; repository: string }; event: never; result: ExplainedAccess }
  'keep-add': { params: RuleText; event: never; result: ShownRule }
  'keep-rm': { params: { rule: string }; event: never; result: { removed: ShownRule[] } }
  'keep-ls': { params: Nothing; event: { images: number }; result: { rules: ListedRule[] } }
  warm: {
    /** `mayBeStopped`: where no node runs, what is here is all that there is. */
    params: { images: string[]; platforms?: string[]; mayBeStopped?: boolean }
    event: WarmEvent
    result: { images: WarmedImage[] }
  }
  /** Without a time it waits as long as it takes. */
  drain: { params: { withinMs?: number }; event: DrainEvent; result: Drained }
  /** The signed records of these, in Base64; those that there are. */
  records: { params: { names: NamedRecord[] }; event: never; result: { records: string[] } }
  'import-missing': { params: { digests: string[] }; event: never; result: { missing: string[] } }
  /** A blob that is a file of this host: `isHere` is false where the node cannot read it. `bytes` are those of a part. */
  'import-blob': {
    params: { digest: string; size: number; file: string }
    event: { bytes: number }
    result: { isHere: boolean }
  }
  'import-manifest': { params: ImportedManifest; event: never; result: ImportOutcome }
  'import-tag': { params: ImportedTag; event: never; result: ImportOutcome }
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
  /** Of a repository, and whether there are more. */
  tags?: number
  isMore?: boolean
  digest?: string
  /** Of the manifest. */
  size?: number
  /** Of the whole image; absent while a manifest of it is not here. */
  bytes?: number
  /** Of its blobs that are on this disk. */
  hereBytes?: number
  /** How long ago any of it was read here last, by clients or members, while the node ran. */
  unusedMs?: number
  writtenMs?: number
  author?: string
}

export interface PeerList {
  self: { peer: string; addresses: string[]; cluster: string }
  members: Member[]
  /** Those that were connected since the node started, and are not now; absent where there is none. */
  away?: LostMember[]
  /** What moves between this node and the members, and what went wrong. */
  exchange: ExchangeStatus
}

/** What an operation works on; a stopped node has no member. */
export interface OperationContext {
  node: LocalNode
  /** Default a command on the node's host. */
  origin?: Origin
  registry: Registry
  /** A stopped node has none open. */
  upstreams?: Upstreams
  member?: Pick<
    ClusterMember,
    | 'swarm'
    | 'exchange'
    | 'elsewhere'
    | 'lost'
    | 'problems'
    | 'clockProblem'
    | 'guests'
    | 'admissionProblem'
    | 'ban'
  >
  /** A stopped node places nothing. */
  copies?: Pick<NodeCopies, 'short' | 'handOver' | 'leave' | 'askToStay' | 'duty' | 'findPulls'>
  /** A stopped node lets nobody in. */
  door?: Door
  /** Since when, and on which HOST:PORT, clients are served; a stopped node serves none. */
  serving?: Pick<RunningStatus, 'startedMs' | 'http' | 'scheme'>
}

/** How clients are let in. */
export interface Door {
  /** When the certificate that they are shown ends, as wall time; `undefined` without TLS. */
  tlsEndMs(): number | undefined
  /** Why nobody is let in, in words. */
  closed(): string | undefined
  /** Why nobody is let in by rules that no member confirms, in words. */
  outdated(): string | undefined
}

export type Operation<N extends OperationName> = (
  context: OperationContext,
  params: OperationTypes[N]['params'],
  emit: (event: OperationTypes[N]['event']) => void,
  options: { signal: AbortSignal },
) => Promise<OperationTypes[N]['result']>
