/** What members tell each other of themselves and of whom they know: asked of whoever comes, of a few in turn, and of all when this node has news. */
import { peerIdFromString } from '@libp2p/peer-id'
import { type Background, type Clock, type Logger, shuffled } from '../../base/base.ts'
import { worthAnnouncing } from '../streams/addresses.ts'
import type { Host } from '../streams/host.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'
import type { Clones } from './clones.ts'
import type { Dialer } from './dialer.ts'
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

/** Of a member, what it has told. */
export interface Told {
  name?: string
  site?: string
  /** Absent until it has told. */
  room?: number
  upstreams: string[]
  away: string[]
  keeps: string[]
  agent?: string
  /** How many digests it announces. */
  announces?: number
}

/** Of this node, what it tells. */
export interface OwnStatus {
  agent: string
  /** How many digests this node announces. */
  announces(): number
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
}

export interface StatusOptions {
  node: Pick<Libp2pNode, 'peerStore'>
  host: Pick<Host, 'handle' | 'open'>
  dialer: Pick<Dialer, 'learn'>
  clones: Clones
  tasks: Background
  clock: Clock
  random: () => number
  logger: Logger
  own: OwnStatus
  /** Peer ids of those connected. */
  peers(): string[]
  isMember(peer: string): boolean
  /** A member has told. */
  onTold(peer: string, told: Told): void
}

export interface Status {
  /** Returns at once. */
  ask(peers: Iterable<string>): void
  joined(peer: string): void
  left(peer: string): void
  /** It has told the addresses that can be passed on. */
  identified(peer: string): void
}

const timeoutMs = 5000
const intervalMs = 60_000
/** Members ask for the places of all others again and again; to look them up costs more than the answer. */
const placesMs = 30_000

export async function openStatus(options: StatusOptions): Promise<Status> {
  const { node, host, dialer, clones, tasks, clock, random, logger, own, peers, isMember, onTold } = options
  const turns = new StatusTurns()
  /** Where those are that were looked up of late. */
  const places = new Map<string, { addresses: string[]; untilMs: number }>()
  /** Who is being asked, and whether it is to be asked again. */
  const asking = new Map<string, { again: boolean }>()

  const ownFacts = () => ({
    running: clones.statement(),
    ...(own.name === undefined ? {} : { name: own.name }),
    ...(own.site === undefined ? {} : { site: own.site }),
    keeps: own.keeps().slice(0, maxKeepsTold),
    ...(own.room() === 0 ? {} : { room: own.room() }),
    upstreams: own.upstreams().slice(0, maxUpstreamsTold),
    away: own.upstreamsAway().slice(0, maxUpstreamsTold),
  })

  const addressesOf = async (peer: string): Promise<string[]> => {
    const known = places.get(peer)
    if (known !== undefined && known.untilMs > clock.now()) return known.addresses
    const id = peerIdFromString(peer)
    // One that has said nothing since it connected is not there.
    const stored = (await node.peerStore.has(id)) ? (await node.peerStore.get(id)).addresses : []
    const worth = worthAnnouncing(stored.map(({ multiaddr }) => multiaddr)).map(String)
    const addresses = worth.filter((entry) => entry.length <= maxAddressLength).slice(0, maxAddressesTold)
    if (addresses.length > 0 && isMember(peer))
      places.set(peer, { addresses, untilMs: clock.now() + placesMs })
    return addresses
  }

  const knownPeers = async (except: string): Promise<{ peer: string; addresses: string[] }[]> => {
    const others = peers().filter((peer) => peer !== except)
    const told = others.length <= maxPeersTold ? others : shuffled(others, random).slice(0, maxPeersTold)
    const entries = await Promise.all(
      told.map(async (peer) => ({ peer, addresses: await addressesOf(peer) })),
    )
    return entries.filter(({ addresses }) => addresses.length > 0)
  }

  /** One at a time with each, however often there is a reason. */
  const askStatus = async (peer: string): Promise<void> => {
    const running = asking.get(peer)
    if (running !== undefined) {
      running.again = true
      return
    }
    const mine = { again: true }
    asking.set(peer, mine)
    while (mine.again && isMember(peer)) {
      mine.again = false
      await askOnce(peer)
    }
    asking.delete(peer)
  }

  const askOnce = async (peer: string): Promise<void> => {
    const signal = AbortSignal.any([tasks.signal, AbortSignal.timeout(timeoutMs)])
    let hasAnswered = false
    try {
      const channel = await host.open(peer, statusProtocol, { maxFrameBytes: maxStatusBytes, signal })
      await channel.send(statusRequest.encode(ownFacts()), { signal })
      const answer = await channel.receive({ signal })
      await channel.close()
      if (answer === undefined || !isMember(peer)) return
      const { running, rival, peers: others, ...told } = statusMessage.decode(answer)
      clones.heard(peer, running)
      if (rival !== undefined) await clones.told(peer, rival)
      if (isMember(peer)) onTold(peer, told)
      for (const { peer: other, addresses } of others) dialer.learn(other, addresses)
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
      const signal = AbortSignal.timeout(timeoutMs)
      const request = await channel.receive({ signal })
      if (request === undefined) return
      const { running, ...told } = statusRequest.decode(request)
      const rival = clones.heard(peer, running)
      if (isMember(peer)) onTold(peer, told)
      const answer = {
        agent: own.agent,
        announces: own.announces(),
        peers: await knownPeers(peer),
        ...(rival === undefined ? {} : { rival }),
        ...ownFacts(),
      }
      await channel.send(statusMessage.encode(answer), { signal })
    },
  )

  const askAll = async (some: Iterable<string>): Promise<void> => {
    await Promise.all([...some].map(askStatus))
  }
  tasks.every('status', intervalMs, { clock, random }, () => askAll(turns.next()))

  return {
    ask: (some) => tasks.start('status', () => askAll(some)),
    joined: (peer) => turns.joined(peer),
    left(peer) {
      places.delete(peer)
      turns.left(peer)
    },
    identified(peer) {
      places.delete(peer)
      tasks.start('status', () => askStatus(peer))
    },
  }
}
