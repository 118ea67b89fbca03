/** The members that are connected now, and what they have told of themselves. */
import { peerIdFromString } from '@libp2p/peer-id'
import type { Background, Clock, Logger } from '../../base/base.ts'
import { hostOf, isPeerId } from '../streams/addresses.ts'
import type { Host } from '../streams/host.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'
import type { Clones } from './clones.ts'
import type { Dialer } from './dialer.ts'
import type { Farewell } from './farewell.ts'
import type { Pulse } from './pulse.ts'
import { type OwnStatus, openStatus, type Told } from './status.ts'
import { maxAddressesTold } from './status-message.ts'

export interface Member {
  peer: string
  /** Multiaddrs of its open connections, as seen from here. */
  addresses: string[]
  /** Round trip, measured every 5 s; absent until the first. */
  latencyMs?: number
  /** When it connected, in milliseconds since the epoch. */
  sinceMs: number
  /** Such as `shoal/0.1.0`; absent until it has told. */
  agent?: string
  /** How many digests it announces; absent until it has told. */
  announces?: number
  /** What it says it is called. */
  name?: string
  /** Where it says it is. */
  site?: string
  /** Names of the upstreams that it reaches, as it last told. */
  upstreams: string[]
  /** Keep rules of which it holds its site's share, as `SITE/RULE`, as it last told. */
  keeps: string[]
}

export interface MemberEvent {
  kind: 'join' | 'leave'
  peer: string
}

export interface Members {
  /** In order of peer id. */
  list(): Member[]
  /** Peer ids of those connected, without the cost of `list`. */
  peers(): string[]
  /** Members of earlier that are not connected, with the multiaddrs at which they were; a part of them when they are many. */
  missing(): Promise<{ peer: string; addresses: string[] }[]>
  /** Peer ids of those that are members now or were, as far as this node remembers. */
  known(): Promise<string[]>
  /** Where the connections to this one lead: IP addresses, as seen from here. */
  hostsOf(peer: string): string[]
  /** Those that hold their site's share of this keep rule (`SITE/RULE`), as they last told. */
  keeping(rule: string): string[]
  /** The connected ones that have told what room they offer for copies, and where they are. */
  offers(): { peer: string; room: number; site?: string }[]
  /** Calls back when those may have changed. Returns the unsubscriber. */
  onOffer(listener: () => void): () => void
  /** The site in which the member says it is, if any. */
  siteOf(peer: string): string | undefined
  /** Those that mirror the upstream of this name, whether or not they reach it now, as they last told. */
  mirroring(upstream: string): string[]
  /** Those that reach the upstream of this name, as they last told. */
  reaching(upstream: string): string[]
  /** Tells all of them anew what this node says of itself, because it has changed. Returns at once. */
  tell(): void
  /** A joined member can be sent to at once. Returns the unsubscriber. */
  onChange(listener: (event: MemberEvent) => void): () => void
}

const maxMissing = 256

export interface MembersOptions extends OwnStatus {
  node: Libp2pNode
  host: Host
  dialer: Dialer
  pulse: Pulse
  farewell: Pick<Farewell, 'part'>
  isUnwelcome(peer: string): boolean
  tasks: Background
  clock: Clock
  random: () => number
  logger: Logger
  clones: Clones
  /** A member told what it is called. */
  onNamed(peer: string, name: string): void
}

interface Known extends Told {
  sinceMs: number
}

export async function openMembers(options: MembersOptions): Promise<Members> {
  const { node, pulse, clock, logger, farewell, isUnwelcome } = options
  const members = new Map<string, Known>()
  const listeners = new Set<(event: MemberEvent) => void>()
  const offerListeners = new Set<() => void>()

  const emit = (event: MemberEvent): void => {
    for (const listener of listeners) {
      try {
        listener(event)
      } catch (error) {
        logger.error({ err: error, ...event }, 'a listener for members failed')
      }
    }
  }

  /** A question leaves out what only an answer tells. */
  const hear = (peer: string, { name, site, room = 0, ...told }: Told): void => {
    const known = members.get(peer)
    if (known === undefined) return
    const isOther = known.room !== room || known.site !== site
    Object.assign(known, told, { room })
    if (name === undefined) delete known.name
    else known.name = name
    if (site === undefined) delete known.site
    else known.site = site
    if (name !== undefined) options.onNamed(peer, name)
    if (isOther) for (const listener of offerListeners) listener()
  }

  const status = await openStatus({
    ...options,
    own: options,
    peers: () => [...members.keys()],
    isMember: (peer) => members.has(peer),
    onTold: hear,
  })

  node.addEventListener('peer:connect', ({ detail }) => {
    const peer = detail.toString()
    if (isUnwelcome(peer)) {
      farewell.part(peer)
      return
    }
    members.set(peer, { sinceMs: clock.now(), upstreams: [], away: [], keeps: [] })
    status.joined(peer)
    logger.info({ peer }, 'member joined')
    pulse.joined(peer)
    emit({ kind: 'join', peer })
  })
  node.addEventListener('peer:disconnect', ({ detail }) => {
    const peer = detail.toString()
    status.left(peer)
    if (!members.delete(peer)) return
    logger.info({ peer }, 'member left')
    pulse.left(peer)
    emit({ kind: 'leave', peer })
    for (const listener of offerListeners) listener()
  })
  // Identified peers have told the addresses that can be passed on, so the exchange comes after that.
  node.addEventListener('peer:identify', ({ detail }) => status.identified(detail.peerId.toString()))

  return {
    list() {
      return [...members]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([peer, { away: _, room: __, ...known }]) => {
          const connections = node.getConnections(peerIdFromString(peer))
          const latencyMs = pulse.latencyMs(peer)
          const addresses = connections.map(({ remoteAddr }) => remoteAddr.toString())
          return { peer, addresses, ...known, ...(latencyMs === undefined ? {} : { latencyMs }) }
        })
    },
    peers: () => [...members.keys()],
    async missing() {
      const known = await node.peerStore.all()
      return known
        .map(({ id, addresses }) => ({
          peer: id.toString(),
          addresses: addresses.map(({ multiaddr }) => multiaddr.toString()).slice(0, maxAddressesTold),
        }))
        .filter(
          ({ peer, addresses }) =>
            peer !== node.peerId.toString() && !members.has(peer) && addresses.length > 0 && isPeerId(peer),
        )
        .slice(0, maxMissing)
    },
    async known() {
      const stored = await node.peerStore.all()
      // Only whoever was connected has told what it speaks.
      const met = stored.filter(({ protocols }) => protocols.length > 0).map(({ id }) => id.toString())
      const others = met.filter((peer) => peer !== node.peerId.toString() && isPeerId(peer))
      return [...new Set([...members.keys(), ...others])]
    },
    hostsOf(peer) {
      const connections = members.has(peer) ? node.getConnections(peerIdFromString(peer)) : []
      return connections.flatMap(({ remoteAddr }) => hostOf(remoteAddr) ?? [])
    },
    keeping: (rule) => [...members].filter(([, known]) => known.keeps.includes(rule)).map(([peer]) => peer),
    offers: () =>
      [...members].flatMap(([peer, { room, site: where }]) =>
        room === undefined ? [] : [{ peer, room, ...(where === undefined ? {} : { site: where }) }],
      ),
    onOffer(listener) {
      offerListeners.add(listener)
      return () => offerListeners.delete(listener)
    },
    siteOf: (peer) => members.get(peer)?.site,
    mirroring: (upstream) =>
      [...members]
        .filter(([, { upstreams, away }]) => upstreams.includes(upstream) || away.includes(upstream))
        .map(([peer]) => peer),
    reaching: (upstream) =>
      [...members].filter(([, known]) => known.upstreams.includes(upstream)).map(([peer]) => peer),
    tell: () => status.ask(members.keys()),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
