/**
 * The members of a cluster and what passes between them: who is connected, channels by protocol, gossip, and who holds what.
 * libp2p stays inside this folder. A node without the cluster's secret cannot finish a handshake with one that has it.
 */

import type { Clock, Logger, Metrics } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import type { Cluster } from './cluster/cluster.ts'
import type { NodeIdentity } from './cluster/identity.ts'
import type { ClusterSecrets } from './cluster/secrets.ts'
import type { ClaimLimits } from './dht/provider-claims.ts'
import type { Providers } from './dht/providers.ts'
import type { AdmissionDesk } from './members/admission.ts'
import type { PolicyExchange } from './members/farewell.ts'
import type { Members } from './members/members.ts'
import type { Spread } from './spread.ts'
import type { HostPort } from './streams/addresses.ts'
import type { Conduct } from './streams/conduct.ts'
import type { SwarmDatabase } from './streams/datastore.ts'
import type { Host } from './streams/host.ts'

export { dropAuthority, exportAuthority, findAuthority, importAuthority } from './cluster/authority.ts'
export {
  type Cluster,
  clusterId,
  findCluster,
  isNewcomer,
  joinCluster,
  startCluster,
  tokenOf,
} from './cluster/cluster.ts'
export { type NodeIdentity, openIdentity } from './cluster/identity.ts'
export { type ClusterSecrets, openSecrets, type RotatingSecrets } from './cluster/secrets.ts'
export {
  checkMultiaddr,
  encodeToken,
  invitationSecret,
  parseToken,
  type TokenContent,
} from './cluster/token.ts'
export {
  AuthorityAbsentError,
  ClusterConflictError,
  ListenError,
  PeerUnreachableError,
  SwarmFileError,
  TokenError,
} from './errors.ts'
export type { AdmissionDesk, Newcomer } from './members/admission.ts'
export type { AdmissionVerdict } from './members/admission-messages.ts'
export { clonedProblem } from './members/clones.ts'
export type { PolicyExchange } from './members/farewell.ts'
export type { Member, MemberEvent, Members } from './members/members.ts'
export { openSwarm } from './open-swarm.ts'
export type { Spread, SpreadHandler, Verdict } from './spread.ts'
export type { Misdeed } from './streams/conduct.ts'
export type { SwarmDatabase } from './streams/datastore.ts'
export type { ChannelHandler, Host, ProtocolOptions } from './streams/host.ts'

export interface Swarm extends Host, AsyncDisposable {
  readonly peerId: string
  readonly members: Members
  readonly spread: Spread
  readonly providers: Providers
  /** Listens and begins to connect. Throws ListenError. */
  start(): Promise<void>
  /** Multiaddrs that others can dial, with the peer id; for the join token. Empty before `start`. */
  addresses(): string[]
  /** Whether another process lately ran with this node's identity, as after copying a host. */
  isCloned(): boolean
  /** The port that is listened on. */
  port(): number
  /** Counts against a peer; enough of it disconnects and refuses the peer for 10 minutes. */
  penalise: Conduct['penalise']
  /** Dials a peer soon, at these multiaddrs and those that are known. */
  meet(peer: string, addresses: string[]): void
  /**
   * Parts from peers that `isBanned` names now, tries those again that it named before, and lets in by the invitations that there are
   * now; call it after the policy, members or invitations changed.
   */
  reconsider(): void
}

export interface SwarmOptions {
  identity: NodeIdentity
  cluster: Cluster
  /** Default the cluster's, for good. */
  secrets?: ClusterSecrets
  /** A sublevel of the node's database, `keyEncoding: 'utf8'`, `valueEncoding: 'view'`; open while the swarm is. */
  database: SwarmDatabase
  listen: HostPort
  /** Multiaddrs to start from besides the cluster's remembered ones. */
  bootstrap?: string[]
  /** Multiaddrs to tell others instead of those listened on, for a node behind NAT. */
  announce?: string[]
  /** Find members on the local network; default true. */
  mdns?: boolean
  /** Such as `shoal/0.1.0`. */
  agent?: string
  /** What this node is called, to tell the others. */
  name?: string
  /** Where this node is, to tell the others; what members in other sites hold is dear. */
  site?: string | undefined
  /** Names of the upstreams that this node reaches now, to tell the others; call `members.tell` when that changes. */
  upstreams?(): string[]
  /** Names of those that it mirrors and does not reach now, to tell the others likewise. */
  upstreamsAway?(): string[]
  /** Keep rules of which this node holds its site's share, to tell the others likewise. */
  keeps?(): string[]
  /** The room that it offers for copies, as a step, to tell the others likewise; default 0, for none. */
  room?(): number
  /** A member told what it is called. */
  onNamed?(peer: string, name: string): void
  /** Who lets newcomers in. Default: nobody is invited, and nobody has to be approved. */
  admission?: AdmissionDesk
  /** By policy: their connections are refused. */
  isBanned?(peer: string): boolean
  /** Held to be gone for good: nobody looks for them. */
  isGone?(peer: string): boolean
  /** What this node and one that is banned show each other before they part. */
  policy?: PolicyExchange
  /** What this node holds of which the hash begins with these two digits: announced again at intervals. Default nothing. */
  held?(shard: string, options: { signal: AbortSignal }): AsyncIterable<Digest>
  /** How long new content waits, on average, before the DHT is told; default by how many members there are (announcer.ts). */
  announceAfterMs?: number
  claimLimits?: Partial<ClaimLimits>
  clock?: Clock
  /** From 0 to 1; for jitter, never for secrets. */
  random?: () => number
  logger?: Logger
  metrics?: Metrics
}
