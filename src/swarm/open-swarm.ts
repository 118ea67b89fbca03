/** Puts a swarm together, and takes it apart in the opposite order. */
import type { Connection } from '@libp2p/interface'
import { Background, noMetrics, silentLogger, steadyClock } from '../base/base.ts'
import { clusterId, clusterNames, type SecretNames, secretNames } from './cluster/cluster.ts'
import { fixedSecrets } from './cluster/secrets.ts'
import { checkMultiaddr } from './cluster/token.ts'
import { createAnnouncer } from './dht/announcer.ts'
import { createFinder } from './dht/finder.ts'
import { boundClaims } from './dht/provider-claims.ts'
import { fillRoutingTable } from './dht/routing-table.ts'
import { type Admission, type AdmissionDesk, openAdmission } from './members/admission.ts'
import { admissionProtocol } from './members/admission-messages.ts'
import { createClones } from './members/clones.ts'
import { createDialer, type Dialer } from './members/dialer.ts'
import { type Farewell, openFarewell, policyProtocol } from './members/farewell.ts'
import { openHandover } from './members/handover.ts'
import { openMembers } from './members/members.ts'
import { PassersBy } from './members/passers-by.ts'
import { openPulse } from './members/pulse.ts'
import { createStanding } from './members/standing.ts'
import { createSpread } from './spread.ts'
import { hostOf, listenAddress, listenError, transportPart } from './streams/addresses.ts'
import { createConduct } from './streams/conduct.ts'
import { bufferDatabase } from './streams/datastore.ts'
import { encryption } from './streams/encryption.ts'
import { createGater } from './streams/gater.ts'
import { createHost } from './streams/host.ts'
import { createNode, type Libp2pNode } from './streams/libp2p-node.ts'
import type { Swarm, SwarmOptions } from './swarm.ts'

const peersFlushMs = 10_000
/** Where nobody has to be approved, and nobody is invited. */
const openDoor: AdmissionDesk = {
  invitations: () => [],
  isGuest: () => false,
  mayPart: () => true,
  introduce: () => ({}),
  judge: async () => ({ kind: 'refused', why: 'this node lets nobody in' }),
  hear: async () => undefined,
}
const noPolicy = { show: () => new Uint8Array(0), look: async () => undefined }

/** Opens a swarm that does not listen yet: register protocols and the gossip handler, then call `start`. */
export async function openSwarm(options: SwarmOptions): Promise<Swarm> {
  const { identity, cluster, database, listen, bootstrap = [], announce = [] } = options
  const { clock = steadyClock, random = Math.random, logger = silentLogger, metrics = noMetrics } = options
  const { agent = 'shoal', isBanned = () => false, isGone = () => false, policy = noPolicy } = options
  const { upstreams = () => [], upstreamsAway = () => [], keeps = () => [], room = () => 0 } = options
  const { secrets = fixedSecrets(cluster), admission: desk = openDoor } = options
  const names = clusterNames(cluster)
  const invited = new WeakMap<Uint8Array, SecretNames>()
  const [newest] = secrets.names()
  const securing = encryption(newest ?? secretNames(cluster))
  const tasks = new Background('the swarm', logger)
  const claims = boundClaims(database, { self: identity.peerId, clock, limits: options.claimLimits })
  tasks.start('claims', (signal) => claims.count(signal))
  const peers = bufferDatabase(claims, '/peers/')
  let node: Libp2pNode | undefined
  let dialer: Dialer | undefined
  let farewell: Farewell | undefined
  let admission: Admission | undefined

  const disconnect = (peer: string): void => {
    for (const connection of connectionsOf(node, peer))
      connection.abort(new Error('the connection was given up'))
  }
  const conduct = createConduct({ clock, logger, metrics, disconnect })
  const isBarred = (peer: string): boolean => isBanned(peer) || conduct.isRefused(peer)
  const isUnwelcome = (peer: string): boolean => isBarred(peer) || (desk.isGuest(peer) && desk.mayPart())
  const standing = createStanding({
    secrets,
    isUnserved: (peer) => isBarred(peer) || desk.isGuest(peer),
    protocolsOf: (peer) => connectionsOf(node, peer).map(({ encryption: protocol }) => protocol ?? ''),
  })
  const gater = createGater({
    clock,
    logger,
    metrics,
    isUnwelcome,
    isToBeTold: (peer, from) =>
      !conduct.isRefused(peer) &&
      (isBanned(peer) ? farewell?.isDue(peer) === true : admission?.isDue(peer, from) === true),
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
    isOutside: standing.isOutside,
    demerits,
  })
  const started: Libp2pNode = node
  const host = createHost({
    node,
    tasks,
    conduct,
    logger,
    metrics,
    isServed(connection, protocol) {
      if (!standing.isOutside(connection)) return true
      const isPolicyShown = isBanned(connection.remotePeer.toString())
      if (protocol === policyProtocol) return isPolicyShown || secrets.isNewcomer()
      return protocol === admissionProtocol && !isPolicyShown
    },
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
    isUnwelcome: (peer) => isUnwelcome(peer) || isGone(peer),
    isOutcast,
  })
  dialer = dialling
  const parting = await openFarewell({ host, tasks, clock, logger, policy, isBanned, disconnect })
  farewell = parting
  const passersBy = new PassersBy({ node, tasks })
  const admitting = await openAdmission({
    host,
    tasks,
    clock,
    logger,
    metrics,
    desk,
    addresses: () => started.getMultiaddrs().map(String),
    hostOf: (peer) =>
      connectionsOf(started, peer).flatMap(({ remoteAddr }) => hostOf(remoteAddr) ?? [])[0] ?? '',
    isInvited: standing.isInvited,
    async dismiss(peer) {
      const wasMember = members.peers().includes(peer)
      disconnect(peer)
      // Whoever was no member is not looked for, and names cost nothing.
      if (!wasMember) await passersBy.forget(peer)
    },
  })
  admission = admitting
  const part = (peer: string): void => {
    if (isBarred(peer)) parting.part(peer)
    // A newcomer is asked; it asks nobody.
    else if (!secrets.isNewcomer()) admitting.receive(peer)
  }
  const handover = await openHandover({
    host,
    secrets,
    tasks,
    clock,
    random,
    logger,
    metrics,
    isUnwelcome: (peer) => isBarred(peer) || desk.isGuest(peer),
    connected: () => protocolsOf(started),
    disconnect,
    invitations: () =>
      desk.invitations().map((secret) => {
        const known = invited.get(secret) ?? secretNames({ secret, authority: cluster.authority })
        invited.set(secret, known)
        return known
      }),
    use(secretsNow) {
      standing.refresh()
      securing.use(secretsNow)
    },
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
    farewell: { part },
    isUnwelcome: (peer) => isUnwelcome(peer) || standing.isInvited(peer),
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
    onNamed: options.onNamed ?? (() => undefined),
    name: options.name,
    site: options.site,
  })
  const announcer = createAnnouncer({
    node,
    members,
    isComplete: dialling.isComplete,
    held: options.held ?? nothing,
    tasks,
    clock,
    random,
    logger,
    metrics,
    settleMs: options.announceAfterMs,
  })
  fillRoutingTable({ node, members, isComplete: dialling.isComplete, tasks, clock, random, logger })
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
  let wasNewcomer = secrets.isNewcomer()
  started.addEventListener('peer:disconnect', () => {
    // What it was let go for is over: as a member it comes back at once.
    if (wasNewcomer && !secrets.isNewcomer()) {
      wasNewcomer = false
      dialling.reconsider()
    }
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

    meet: (peer, addresses) => dialling.learn(peer, addresses),

    reconsider() {
      handover.refresh()
      for (const peer of members.peers()) if (isUnwelcome(peer)) part(peer)
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

async function* nothing(): AsyncGenerator<never> {
  yield* []
}

function connectionsOf(node: Libp2pNode | undefined, peer: string): Connection[] {
  return (node?.getConnections() ?? []).filter(({ remotePeer }) => remotePeer.toString() === peer)
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
