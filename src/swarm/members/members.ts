/** The members that are connected now, what they tell about themselves, and whom they know. */
import { peerIdFromString } from '@libp2p/peer-id'
import { type Background, type Clock, type Logger, shuffled } from '../../base/base.ts'
import { hostOf, isPeerId, worthAnnouncing } from '../streams/addresses.ts'
import type { Host } from '../streams/host.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'
import type { Clones } from './clones.ts'
import type { Dialer } from './dialer.ts'
import type { Farewell } from './farewell.ts'
import type { Pulse } from './pulse.ts'
import {
  maxAddressesTold,
  maxAddressLength,
  maxKeepsTold,
  maxPeersTold,
  maxStatusBytes,
  maxUpstreamsTold,
  statusMessage,
  statusProtocol,
  statusRequest,
} from './status-message.ts'
import { StatusTurns } from './status-turns.ts'

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

const statusTimeoutMs = 5000
const maxMissing = 256
const statusIntervalMs = 60_000
/** Members ask for the places of all others again and again; to look them up costs more than the answer. */
const placesMs = 30_000

export interface MembersOptions {
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
  agent: string
  /** How many digests this node announces. */
  announces(): number
  /** Of this node. */
  name: string | undefined
  site: string | undefined
  /** Names of the upstreams that this node reaches now. */
  upstreams(): string[]
  /** Names of those that it mirrors and does not reach. */
  upstreamsAway(): string[]
  /** Keep rules of which this node holds its site's share. */
  keeps(): string[]
  /** The room that this node offers for copies; 0 for none. */
  room(): number
  /** A member told what it is called. */
  onNamed(peer: string, name: string): void
}

interface Known {
  sinceMs: number
  agent?: string
  announces?: number
  name?: string
  site?: string
  /** Absent until it has told. */
  room?: number
  upstreams: string[]
  away: string[]
  keeps: string[]
}

type Told = Pick<Known, 'name' | 'site' | 'room' | 'upstreams' | 'away' | 'keeps'>

export async function openMembers(options: MembersOptions): Promise<Members> {
  const { node, host, dialer, pulse, tasks, clock, random, logger, clones, agent, announces } = options
  const { farewell, isUnwelcome, name, site } = options
  const ownFacts = () => ({
    running: clones.statement(),
    ...(name === undefined ? {} : { name }),
    ...(site === undefined ? {} : { site }),
    keeps: options.keeps().slice(0, maxKeepsTold),
    ...(options.room() === 0 ? {} : { room: options.room() }),
    upstreams: options.upstreams().slice(0, maxUpstreamsTold),
    away: options.upstreamsAway().slice(0, maxUpstreamsTold),
  })
  const members = new Map<string, Known>()
  const turns = new StatusTurns()
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

  /** Where those are that were looked up of late. */
  const places = new Map<string, { addresses: string[]; untilMs: number }>()

  const addressesOf = async (peer: string): Promise<string[]> => {
    const known = places.get(peer)
    if (known !== undefined && known.untilMs > clock.now()) return known.addresses
    const id = peerIdFromString(peer)
    // One that has said nothing since it connected is not there.
    const stored = (await node.peerStore.has(id)) ? (await node.peerStore.get(id)).addresses : []
    const worth = worthAnnouncing(stored.map(({ multiaddr }) => multiaddr)).map(String)
    const addresses = worth.filter((entry) => entry.length <= maxAddressLength).slice(0, maxAddressesTold)
    if (addresses.length > 0 && members.has(peer))
      places.set(peer, { addresses, untilMs: clock.now() + placesMs })
    return addresses
  }

  const knownPeers = async (except: string): Promise<{ peer: string; addresses: string[] }[]> => {
    const others = [...members.keys()].filter((peer) => peer !== except)
    const told = others.length <= maxPeersTold ? others : shuffled(others, random).slice(0, maxPeersTold)
    const entries = await Promise.all(
      told.map(async (peer) => ({ peer, addresses: await addressesOf(peer) })),
    )
    return entries.filter(({ addresses }) => addresses.length > 0)
  }

  /** What it says of itself in a question, and in an answer. */
  const hearSelf = (peer: string, known: Known, told: Told): void => {
    const { name: called, site: place, room = 0, away, keeps, upstreams } = told
    const isOther = known.room !== room || known.site !== place
    Object.assign(known, { away, keeps, room, upstreams })
    tellSelf(known, told)
    if (called !== undefined) options.onNamed(peer, called)
    if (isOther) for (const listener of offerListeners) listener()
  }

  /** Who is being asked, and whether it is to be asked again. */
  const asking = new Map<string, { again: boolean }>()

  /** One at a time with each, however often there is a reason. */
  const askStatus = async (peer: string): Promise<void> => {
    const running = asking.get(peer)
    if (running !== undefined) {
      running.again = true
      return
    }
    const mine = { again: true }
    asking.set(peer, mine)
    while (mine.again && members.has(peer)) {
      mine.again = false
      await askOnce(peer)
    }
    asking.delete(peer)
  }

  const askOnce = async (peer: string): Promise<void> => {
    const signal = AbortSignal.any([tasks.signal, AbortSignal.timeout(statusTimeoutMs)])
    let hasAnswered = false
    try {
      const channel = await host.open(peer, statusProtocol, { maxFrameBytes: maxStatusBytes, signal })
      await channel.send(statusRequest.encode(ownFacts()), { signal })
      const answer = await channel.receive({ signal })
      await channel.close()
      const known = members.get(peer)
      if (answer === undefined || known === undefined) return
      const told = statusMessage.decode(answer)
      clones.heard(peer, told.running)
      if (told.rival !== undefined) await clones.told(peer, told.rival)
      known.agent = told.agent
      known.announces = told.announces
      hearSelf(peer, known, told)
      for (const { peer: other, addresses } of told.peers) dialer.learn(other, addresses)
      hasAnswered = true
    } catch (error) {
      if (!tasks.signal.aborted) logger.debug({ err: error, peer }, 'a member did not tell its status')
    } finally {
      turns.asked(peer, { hasAnswered })
    }
  }

  await host.handle(
    statusProtocol,
    { maxFrameBytes: maxStatusBytes, maxInboundPerPeer: 4 },
    async (channel, peer) => {
      const signal = AbortSignal.timeout(statusTimeoutMs)
      const request = await channel.receive({ signal })
      if (request === undefined) return
      const { running, ...told } = statusRequest.decode(request)
      const rival = clones.heard(peer, running)
      const known = members.get(peer)
      if (known !== undefined) hearSelf(peer, known, told)
      const answer = {
        agent,
        announces: announces(),
        peers: await knownPeers(peer),
        ...(rival === undefined ? {} : { rival }),
        ...ownFacts(),
      }
      await channel.send(statusMessage.encode(answer), { signal })
    },
  )

  node.addEventListener('peer:connect', ({ detail }) => {
    const peer = detail.toString()
    if (isUnwelcome(peer)) {
      farewell.part(peer)
      return
    }
    members.set(peer, { sinceMs: clock.now(), upstreams: [], away: [], keeps: [] })
    turns.joined(peer)
    logger.info({ peer }, 'member joined')
    pulse.joined(peer)
    emit({ kind: 'join', peer })
  })
  node.addEventListener('peer:disconnect', ({ detail }) => {
    const peer = detail.toString()
    places.delete(peer)
    turns.left(peer)
    if (!members.delete(peer)) return
    logger.info({ peer }, 'member left')
    pulse.left(peer)
    emit({ kind: 'leave', peer })
    for (const listener of offerListeners) listener()
  })
  // Identified peers have told the addresses that can be passed on, so the exchange comes after that.
  node.addEventListener('peer:identify', ({ detail }) => {
    places.delete(detail.peerId.toString())
    tasks.start('status', async () => await askStatus(detail.peerId.toString()))
  })
  const ask = async (peers: Iterable<string>): Promise<void> => {
    await Promise.all([...peers].map(askStatus))
  }
  tasks.every('status', statusIntervalMs, { clock, random }, () => ask(turns.next()))

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
    tell: () => tasks.start('status', () => ask(members.keys())),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

function tellSelf(known: Known, { name, site }: Pick<Known, 'name' | 'site'>): void {
  if (name === undefined) delete known.name
  else known.name = name
  if (site === undefined) delete known.site
  else known.site = site
}
