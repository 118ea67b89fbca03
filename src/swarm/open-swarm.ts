/** Puts a swarm together, and takes it apart in the opposite order. */
import { Background, noMetrics, silentLogger, steadyClock } from '../base/base.ts'
import { clusterId, clusterNames, secretNames } from './cluster/cluster.ts'
import { fixedSecrets } from './cluster/secrets.ts'
import { checkMultiaddr } from './cluster/token.ts'
import { createAnnouncer } from './dht/announcer.ts'
import { createFinder } from './dht/finder.ts'
import { boundClaims } from './dht/provider-claims.ts'
import { createClones } from './members/clones.ts'
import { createDialer, type Dialer } from './members/dialer.ts'
import { type Farewell, openFarewell, policyProtocol } from './members/farewell.ts'
import { openHandover } from './members/handover.ts'
import { openMembers } from './members/members.ts'
import { openPulse } from './members/pulse.ts'
import { createSpread } from './spread.ts'
import { listenAddress, listenError, transportPart } from './streams/addresses.ts'
import { createConduct } from './streams/conduct.ts'
import { bufferDatabase } from './streams/datastore.ts'
import { encryption } from './streams/encryption.ts'
import { createGater } from './streams/gater.ts'
import { createHost } from './streams/host.ts'
import { createNode, type Libp2pNode } from './streams/libp2p-node.ts'
import type { Swarm, SwarmOptions } from './swarm.ts'

const peersFlushMs = 10_000
const noPolicy = { show: () => new Uint8Array(0), look: async () => undefined }

/** Opens a swarm that does not listen yet: register protocols and the gossip handler, then call `start`. */
export async function openSwarm(options: SwarmOptions): Promise<Swarm> {
  const { identity, cluster, database, listen, bootstrap = [], announce = [] } = options
  const { clock = steadyClock, random = Math.random, logger = silentLogger, metrics = noMetrics } = options
  const { agent = 'shoal', isBanned = () => false, policy = noPolicy } = options
  const { upstreams = () => [], upstreamsAway = () => [], keeps = () => [], room = () => 0 } = options
  const { secrets = fixedSecrets(cluster) } = options
  const names = clusterNames(cluster)
  const [newest] = secrets.names()
  const securing = encryption(newest ?? secretNames(cluster))
  const tasks = new Background('the swarm', logger)
  const claims = boundClaims(database, { self: identity.peerId, clock, limits: options.claimLimits })
  tasks.start('claims', (signal) => claims.count(signal))
  const peers = bufferDatabase(claims, '/peers/')
  let node: Libp2pNode | undefined
  let dialer: Dialer | undefined
  let farewell: Farewell | undefined

  const disconnect = (peer: string): void => {
    for (const connection of node?.getConnections() ?? []) {
      if (connection.remotePeer.toString() === peer)
        connection.abort(new Error('the connection was given up'))
    }
  }
  const conduct = createConduct({ clock, logger, metrics, disconnect })
  const isUnwelcome = (peer: string): boolean => isBanned(peer) || conduct.isRefused(peer)
  const gater = createGater({
    clock,
    logger,
    metrics,
    isUnwelcome,
    isToBeTold: (peer) => !conduct.isRefused(peer) && farewell?.isDue(peer) === true,
    isResting: (peer) => dialer?.isResting(peer) === true,
    ownAddresses: () => new Set(node?.getMultiaddrs().map(transportPart)),
  })
  const demerits = (peer: string): number => {
    const points = conduct.pointsOf(peer)
    return points < 1 ? 0 : points
  }

  node = await createNode({
    identity,
    names,
    encryption: securing,
    database: peers,
    gater,
    listen: [listenAddress(listen)],
    announce: announce.map(checkMultiaddr),
    mdns: options.mdns ?? true,
    agent,
    demerits,
  })
  const started: Libp2pNode = node
  const host = createHost({
    node,
    tasks,
    conduct,
    logger,
    metrics,
    isUnwelcome,
    farewellProtocol: policyProtocol,
  })
  const seeds = [...new Set([...bootstrap, ...cluster.bootstrap])].map(checkMultiaddr)
  const isOutcast = (): boolean => isBanned(identity.peerId)
  const dialling = createDialer({
    node,
    tasks,
    clock,
    random,
    logger,
    bootstrap: seeds,
    isUnwelcome,
    isOutcast,
  })
  dialer = dialling
  const parting = await openFarewell({ host, tasks, clock, logger, policy, isBanned, disconnect })
  farewell = parting
  const handover = await openHandover({
    host,
    secrets,
    tasks,
    clock,
    random,
    logger,
    isUnwelcome,
    connected: () => protocolsOf(started),
    disconnect,
    use: securing.use,
  })
  const pulse = await openPulse({
    self: identity.peerId,
    host,
    tasks,
    clock,
    random,
    logger,
    onSilence: disconnect,
  })
  const clones = createClones({ identity, clock, logger })
  const members = await openMembers({
    node,
    host,
    dialer: dialling,
    pulse,
    clones,
    farewell: parting,
    isUnwelcome,
    tasks,
    clock,
    random,
    logger,
    agent,
    announces: () => announcer.size,
    upstreams,
    upstreamsAway,
    keeps,
    room,
    site: options.site,
  })
  const announcer = createAnnouncer({
    node,
    members,
    isComplete: dialling.isComplete,
    tasks,
    clock,
    random,
    logger,
    metrics,
    settleMs: options.announceAfterMs,
  })
  const find = createFinder({ node, stop: tasks.signal, metrics })
  const spread = createSpread({
    gossip: node.services.gossip,
    topic: names.topic,
    conduct,
    clock,
    logger,
    metrics,
  })
  members.onChange(({ kind }) => {
    if (kind === 'join') handover.look()
  })
  metrics.gauge('shoal_swarm_members', () => members.peers().length)
  metrics.gauge('shoal_swarm_connections', () => started.getConnections().length)
  metrics.gauge('shoal_dht_announced', () => announcer.size)

  return {
    peerId: identity.peerId,
    members,
    spread,
    providers: {
      find,
      announce: (digest) => announcer.announce(digest),
      resume: (digest) => announcer.resume(digest),
      withdraw: (digest) => announcer.withdraw(digest),
    },
    handle: host.handle,
    open: host.open,
    penalise: conduct.penalise,

    async start() {
      try {
        await started.start()
      } catch (cause) {
        throw listenError(listen, cause)
      }
      tasks.every('peer store', peersFlushMs, { clock, random }, async () => await peers.flush())
      started.services.gossip.subscribe(names.topic)
      await dialling.start()
      logger.info(
        {
          peer: identity.peerId,
          cluster: clusterId(cluster),
          addresses: started.getMultiaddrs().map(String),
        },
        'swarm started',
      )
    },

    isCloned: () => clones.isCloned(),
    addresses: () => started.getMultiaddrs().map(String),

    port() {
      const [address] = started.getMultiaddrs()
      return Number(address?.getComponents().find(({ name }) => name === 'tcp')?.value ?? listen.port)
    },

    reconsider() {
      for (const peer of members.peers()) {
        if (isBanned(peer)) parting.part(peer)
      }
      dialling.reconsider()
    },

    async [Symbol.asyncDispose]() {
      const stopped = tasks[Symbol.asyncDispose]()
      await started.stop()
      await stopped
      await peers.flush()
    },
  }
}

/** By which protocols each peer's connections were secured. */
function protocolsOf(node: Libp2pNode): Map<string, Set<string>> {
  const protocols = new Map<string, Set<string>>()
  for (const { remotePeer, encryption: protocol } of node.getConnections()) {
    const peer = remotePeer.toString()
    const known = protocols.get(peer) ?? new Set()
    protocols.set(peer, known.add(protocol ?? ''))
  }
  return protocols
}
