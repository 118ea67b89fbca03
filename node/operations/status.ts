/** The operation behind `shoal status`: a node, its cluster, its disk and what moves, at one moment. */
import { steadyClock } from '../../src/base/base.ts'
import { layoutOf } from '../../src/exchange/exchange.ts'
import type { Digest, Repository } from '../../src/oci/oci.ts'
import { describeDropped, type ScrubStatus } from '../../src/store/store.ts'
import { findAuthority } from '../../src/swarm/cluster/authority.ts'
import { clusterId } from '../../src/swarm/cluster/cluster.ts'
import type { Member } from '../../src/swarm/swarm.ts'
import type { UpstreamStatus } from '../../src/upstream/upstream.ts'
import type { DiskUsage } from '../disk-usage.ts'
import { describeCut, describeDamage, describeUnreadable } from '../doctor/database.ts'
import { judgeLimit, judgeSpace } from '../doctor/disk.ts'
import { describeQuarantine } from '../doctor/quarantine.ts'
import type { LocalNode } from '../local-node.ts'
import type { Operation, OperationContext } from './operations.ts'

export interface NodeStatus {
  /** Milliseconds since the epoch, by a clock that never jumps: rates are what changed between two statuses. */
  nowMs: number
  version: string
  data: string
  peer: string
  /** What it is called. */
  name: string
  /** Absent when no node runs on the data directory. */
  running?: RunningStatus
  cluster: ClusterStatus
  disk: DiskUsage
  scrub: ScrubStatus & {
    /** Within which everything is read again: --scrub, 0 for never. */
    periodMs: number
  }
  /** Blobs on their way here. */
  transfers: TransferStatus[]
  /** Piece bytes from and to members since the node started. */
  traffic: { receivedBytes: number; sentBytes: number }
  /** Registries that this node mirrors, in their order. */
  upstreams: UpstreamStatus[]
  /** How many keep rules this node has; `shoal keep ls` tells whether they are fulfilled. */
  keepRules: number
  /** Images that this node owns or was pushed, and that fewer members hold than there are to be. */
  short: {
    images: number
    /** Up to 100 of them, the oldest first. */
    list: { repository: Repository; digest: Digest; held: number; wanted: number; sinceMs: number }[]
  }
  /** What keeps the node from working as it should, in words. */
  problems: string[]
  /** Those of them that are about the database. */
  database: string[]
}

export interface RunningStatus {
  pid: number
  startedMs: number
  /** HOST:PORT that clients reach. */
  http: string
  /** `https` where it speaks TLS to them. */
  scheme: 'http' | 'https'
  /** Multiaddrs that members reach. */
  p2p: string[]
}

export interface ClusterStatus {
  id: string
  /** Whether this node can sign the policy. */
  holdsAuthority: boolean
  /** Keys as peer ids. */
  authority: {
    governs: string
    /** Another one that the authority was handed over to as well, and by which. */
    contested?: { from: string; other: string }
    /** What this node holds as the authority's key, and is not. */
    idleKey?: string
  }
  /** Current records, tombstones included. */
  records: number
  /** Those connected, in order of peer id. */
  members: Member[]
  /** What those are called that were connected since the node started, and are not now; absent where there is none. */
  away?: string[]
}

export interface TransferStatus {
  digest: Digest
  /** One that may read it, if any does yet. */
  repository?: Repository
  /** Absent until a piece list was found. */
  bytes?: number
  heldBytes: number
  /** Members it comes from. */
  peers: number
}

export const showStatus: Operation<'status'> = async (context) => {
  const { node, member, serving } = context
  const { membership, settings, version } = node
  const { fingerprints } = await node.names.positions()
  const peers = member?.exchange.status().peers ?? []
  const sum = (of: 'receivedBytes' | 'sentBytes') => peers.reduce((total, peer) => total + peer[of], 0)
  const away = (member?.lost.list() ?? []).map(({ peer }) => node.peers.nameOf(peer) ?? peer)
  const disk = await node.disk.measure()
  const database = databaseProblems(node)
  return {
    nowMs: steadyClock.now(),
    version,
    data: settings.data,
    peer: membership.identity.peerId,
    name: node.peers.nameOf(membership.identity.peerId) ?? node.name,
    ...(member === undefined || serving === undefined
      ? {}
      : { running: { pid: process.pid, ...serving, p2p: member.swarm.addresses() } }),
    cluster: {
      id: clusterId(membership.cluster),
      holdsAuthority: node.names.authority.holds(),
      authority: await authorityStatus(node),
      records: fingerprints.total,
      members: member?.swarm.members.list() ?? [],
      ...(away.length === 0 ? {} : { away }),
    },
    disk,
    scrub: { ...(await node.store.scrub.status()), periodMs: settings.scrub },
    transfers: await listTransfers(context),
    traffic: { receivedBytes: sum('receivedBytes'), sentBytes: sum('sentBytes') },
    upstreams: context.upstreams?.all.map((upstream) => upstream.status()) ?? [],
    keepRules: node.keepRules.list().length,
    short: shortOf(context),
    problems: [...(member?.problems() ?? []), ...problemsOf(disk), ...database],
    database,
  }
}

async function authorityStatus({ names, settings }: LocalNode): Promise<ClusterStatus['authority']> {
  const { now: governs, contested } = names.authority.state()
  const key = names.authority.holds() ? undefined : await findAuthority(settings.data)
  return {
    governs,
    ...(contested === undefined ? {} : { contested: { from: contested.from, other: contested.other } }),
    ...(key === undefined ? {} : { idleKey: key.peerId }),
  }
}

const maxShort = 100

function shortOf({ copies }: OperationContext): NodeStatus['short'] {
  const debts = copies?.short() ?? []
  const list = debts
    .toSorted((a, b) => a.sinceMs - b.sinceMs)
    .slice(0, maxShort)
    .map(({ repository, digest, held, wanted, sinceMs }) => ({ repository, digest, held, wanted, sinceMs }))
  return { images: debts.length, list }
}

/** Those that the doctor would name, too. */
function problemsOf(disk: DiskUsage): string[] {
  const judged = [...judgeSpace(disk), ...(disk.limit === undefined ? [] : judgeLimit(disk.limit))]
  const space = judged.flatMap(({ level, found }) => (level === 'fault' ? [found] : []))
  const rotten = disk.quarantined === 0 ? undefined : describeQuarantine(disk.quarantined)
  return [...space, rotten].filter((problem) => problem !== undefined)
}

function databaseProblems({ databaseProblem, dropped, cut, names }: LocalNode): string[] {
  const damage = names.damage()
  return [
    databaseProblem(),
    dropped.length === 0 ? undefined : describeDropped(dropped),
    cut.length === 0 ? undefined : describeCut(cut),
    damage && describeDamage(damage),
    names.unreadable() === 0 ? undefined : describeUnreadable(names.unreadable()),
  ].filter((problem) => problem !== undefined)
}

async function listTransfers({ node, member }: OperationContext): Promise<TransferStatus[]> {
  const transfers = member?.exchange.status().transfers ?? []
  return await Promise.all(
    transfers.map(async ({ digest, size, held, peers }) => {
      const repository = await node.store.links.anyRepository(digest)
      return {
        digest,
        ...(repository === undefined ? {} : { repository }),
        ...(size === undefined ? {} : { bytes: size }),
        // Every piece but the last has this length, so a whole blob is not more than it is.
        heldBytes: size === undefined ? 0 : Math.min(size, held * layoutOf(size).pieceBytes),
        peers,
      }
    }),
  )
}
