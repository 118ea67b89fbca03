/** The operation behind half of `shoal doctor`: what a running node knows of the cluster that its status does not show. */
import { CodedError } from '../../src/base/base.ts'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import type { MembersMode } from '../../src/records/records.ts'
import type { Upstream, UpstreamStatus } from '../../src/upstream/upstream.ts'
import type { Ban } from '../cluster/bans.ts'
import { openProblem, unruledProblem } from '../network-access.ts'
import { NotRunningError } from './cluster.ts'
import type { Operation } from './operations.ts'

export interface Reach {
  /** Members that it knows and is not connected with, with the multiaddrs that it would dial. */
  known: { peer: string; addresses: string[] }[]
  /** How many of those are not among them, as a member that is connected has taken their place. */
  replaced: number
  /** Multiaddrs to start from: those given and those that came with the token. */
  bootstrap: string[]
  looksByMdns: boolean
  /** In words, while its clock and those of most members differ too much. */
  clockProblem?: string
  /** When the certificate that clients are shown ends. */
  tlsEndMs?: number
  /** Why nobody is let in, in words. */
  closed?: string
  /** Why nobody is let in by rules that no member confirms, in words. */
  outdated?: string
  /** What everybody may who reaches the registry's port, where that was agreed to, in words. */
  open?: string
  /** What everybody may although there are accounts, in words. */
  unruled?: string
  /** Whether members have to be approved. */
  membersMode: MembersMode
  /** Nodes that came here and are no members yet. */
  guests: { peer: string; name?: string; from: string }[]
  /** Why this node is no member yet, in words. */
  admissionProblem?: string
  /** Why the members refuse this node, where the policy bans it. */
  ban?: Ban
  /** Another node runs with this one's identity. */
  isCloned: boolean
  /** As they are after each was asked something. */
  upstreams: UpstreamStatus[]
}

/** What every upstream can be asked: it is entered as for any other image, and need not be there. */
const askedName = parseRepository('library/hello-world')
const askedTag = parseTag('latest')
const askMs = 8_000

export const tellReach: Operation<'reach'> = async (
  { node, member, upstreams, door },
  _params,
  _emit,
  { signal },
) => {
  if (member === undefined) {
    throw new NotRunningError('no node runs on this data directory; start it with shoal serve')
  }
  const clockProblem = member.clockProblem()
  const [tlsEndMs, closed, outdated] = [door?.tlsEndMs(), door?.closed(), door?.outdated()]
  const open = openProblem(node.settings, node.names)
  const unruled = await unruledProblem(node.names)
  const admissionProblem = member.admissionProblem()
  const ban = member.ban()
  const { entries } = node.names.roster()
  const isLookedFor = ({ peer }: { peer: string }): boolean =>
    entries.get(peer)?.goneMs === undefined && !node.names.isBanned(peer)
  const missing = (await member.swarm.members.missing()).filter(isLookedFor)
  const connected = member.swarm.members.list().map(({ peer, addresses }) => ({
    addresses,
    hosts: member.swarm.members.hostsOf(peer),
    name: node.peers.nameOf(peer),
  }))
  const known = missing.filter(
    ({ peer, addresses }) => !isReplaced({ name: node.peers.nameOf(peer), addresses }, connected),
  )
  return {
    known,
    replaced: missing.length - known.length,
    bootstrap: [...node.settings.bootstrap, ...node.membership.cluster.bootstrap],
    membersMode: node.names.policy().members ?? 'token',
    guests: member.guests(),
    ...(admissionProblem === undefined ? {} : { admissionProblem }),
    ...(ban === undefined ? {} : { ban }),
    looksByMdns: !node.settings['no-mdns'],
    ...(clockProblem === undefined ? {} : { clockProblem }),
    ...(tlsEndMs === undefined ? {} : { tlsEndMs }),
    ...(closed === undefined ? {} : { closed }),
    ...(outdated === undefined ? {} : { outdated }),
    ...(open === undefined ? {} : { open }),
    ...(unruled === undefined ? {} : { unruled }),
    isCloned: member.swarm.isCloned(),
    upstreams: await Promise.all((upstreams?.all ?? []).map((upstream) => askUpstream(upstream, signal))),
  }
}

interface Place {
  addresses: string[]
  name: string | undefined
}

/**
 * Whether a member that is connected is where this one was: at one of its addresses, or on one of its hosts under its name, as
 * after a host was set up anew.
 */
export function isReplaced(
  { addresses, name }: Place,
  connected: readonly (Place & { hosts: string[] })[],
): boolean {
  const places = new Set(addresses.map(placeOf))
  const hosts = new Set(addresses.map((address) => address.split('/')[2]))
  return connected.some(
    (other) =>
      other.addresses.some((address) => places.has(placeOf(address))) ||
      (name !== undefined && other.name === name && other.hosts.some((host) => hosts.has(host))),
  )
}

/** Of a multiaddr, without the id. */
function placeOf(address: string): string {
  return address.replace(/\/p2p\/.*$/, '')
}

/** What went wrong is in its status. */
async function askUpstream(upstream: Upstream, signal: AbortSignal): Promise<UpstreamStatus> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(askMs)])
  try {
    await upstream.statManifest(askedName, { tag: askedTag }, { signal: limited })
  } catch (error) {
    if (!(error instanceof CodedError) && !limited.aborted) throw error
  }
  return upstream.status()
}
