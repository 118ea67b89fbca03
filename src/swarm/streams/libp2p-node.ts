/** The libp2p node with every option that matters said in one place. */
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import { type GossipSub, type GossipsubOpts, gossipsub } from '@libp2p/gossipsub'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection, ConnectionGater, Startable } from '@libp2p/interface'
import { type KadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p, type Libp2p } from 'libp2p'
import type { ClusterNames } from '../cluster/cluster.ts'
import type { NodeIdentity } from '../cluster/identity.ts'
import { worthAnnouncing } from './addresses.ts'
import { datastoreIn, type SwarmDatabase } from './datastore.ts'
import type { Encryption } from './encryption.ts'
import { guarded } from './guard.ts'
import { quietDht } from './quiet-dht.ts'
import { multiplexing } from './yamux-frames.ts'

export type Libp2pNode = Libp2p<{ identify: Identify; ping: Ping; dht: KadDHT; gossip: GossipSub }>

export interface Libp2pNodeOptions {
  identity: NodeIdentity
  names: ClusterNames
  encryption: Encryption
  database: SwarmDatabase
  gater: ConnectionGater
  /** Multiaddrs. */
  listen: string[]
  /** Multiaddrs that replace those listened on in what others are told; none keeps them. */
  announce: string[]
  mdns: boolean
  /** `shoal/0.1.0`. */
  agent: string
  /** Whether who is on the other end is no member, and gets nothing of the DHT and of gossip. Default: nobody is outside. */
  isOutside?(connection: Connection): boolean
  /** Subtracted from a peer's gossip score. */
  demerits(peer: string): number
}

/**
 * Fixed by the protocol's version: yamux does not negotiate it, and a sender with a larger one kills the connection. The
 * largest window stays below the 4 MiB at which libp2p resets a paused stream.
 */
const initialWindowBytes = 256 * 1024
const maxWindowBytes = 2 * 1024 * 1024
export const dhtProtocol = '/shoal/kad/1.0.0'
const dayMs = 24 * 3600_000
const maxGossipBytes = 4 * 1024 * 1024
/**
 * A member that subscribes is in the mesh at once, and who publishes sends to all: a beat mends the mesh after losses, and names what
 * was said since to those outside of it. Each wakes the node, used or not.
 */
const gossipBeatMs = 5_000
/** Messages are kept for so many beats, and named in so many. */
const gossipHistory = { mcacheLength: 3, mcacheGossip: 2 }
const scoreDecayMs = 10_000
/** Longer than any outage after which a node should still find back on its own. */
const rememberPeersMs = 30 * dayMs

/** The library leaves its next beat set when it stops, and a program that is over would wait for it. */
function endingBeats(options: Partial<GossipsubOpts>): ReturnType<typeof gossipsub> {
  const create = gossipsub(options)
  return (components) => {
    const gossip = create(components) as GossipSub & Startable
    const { stop } = gossip
    gossip.stop = async () => {
      const { heartbeatTimeout } = Reflect.get(gossip, 'status')
      await stop.call(gossip)
      clearTimeout(heartbeatTimeout)
    }
    return gossip
  }
}

/** Not started: register handlers, then call `start()`. */
export async function createNode(options: Libp2pNodeOptions): Promise<Libp2pNode> {
  const { identity, names, gater, listen, announce, agent, demerits, isOutside = () => false } = options
  return await createLibp2p({
    start: false,
    privateKey: privateKeyFromRaw(Buffer.concat([identity.seed, identity.publicKey])),
    nodeInfo: { name: 'shoal', userAgent: agent },
    addresses: { listen, announce, announceFilter: worthAnnouncing },
    transports: [tcp()],
    connectionEncrypters: [options.encryption.encrypter],
    streamMuxers: [
      multiplexing({
        maxInboundStreams: 1024,
        maxOutboundStreams: 1024,
        // The pulse does this work.
        enableKeepAlive: false,
        streamOptions: { initialStreamWindowSize: initialWindowBytes, maxStreamWindowSize: maxWindowBytes },
      }),
    ],
    connectionGater: gater,
    connectionManager: {
      maxConnections: 512,
      // Per second and address: a whole cluster may sit behind one NAT. What fails the handshake is limited by the gater.
      inboundConnectionThreshold: 100,
      // The gater's room is smaller, and lets a newcomer in where this would refuse it.
      maxIncomingPendingConnections: 1024,
      inboundUpgradeTimeout: 3000,
      addressDialTimeout: 2000,
      dialTimeout: 8000,
      // The dialer reconnects, with its own backoff.
      reconnectRetries: 0,
    },
    // The pulse does this work with one stream for each member.
    connectionMonitor: { enabled: false },
    peerStore: { maxAddressAge: rememberPeersMs, maxPeerAge: rememberPeersMs },
    datastore: datastoreIn(options.database),
    peerDiscovery: options.mdns ? [mdns({ serviceTag: names.mdnsService, interval: 30_000 })] : [],
    services: {
      identify: identify({ protocolPrefix: 'shoal', maxInboundStreams: 4, maxOutboundStreams: 4 }),
      ping: ping({ maxInboundStreams: 8, maxOutboundStreams: 8 }),
      dht: guarded(
        quietDht({
          protocol: dhtProtocol,
          clientMode: false,
          // The default drops private addresses, which are all that a LAN has.
          peerInfoMapper: passthroughMapper,
          allowQueryWithZeroPeers: true,
          networkDialTimeout: { minTimeout: 2000 },
          maxInboundStreams: 128,
          maxOutboundStreams: 128,
          // The announcer has its own clock; this one only mends what a long outage let expire, one at a time.
          reprovide: { concurrency: 1, threshold: 0, validity: 2 * dayMs },
        }),
        isOutside,
      ),
      gossip: guarded(
        endingBeats({
          // Records carry their author's signature; a second one around them would cost without proving more.
          globalSignaturePolicy: 'StrictNoSign',
          allowPublishToZeroTopicPeers: true,
          ignoreDuplicatePublishError: true,
          fallbackToFloodsub: false,
          doPX: false,
          allowedTopics: [names.topic],
          heartbeatInterval: gossipBeatMs,
          ...gossipHistory,
          awaitRpcHandler: true,
          awaitRpcMessageHandler: true,
          // An honest answer holds all messages that were asked for, and what is longer ends gossip with its sender for good.
          maxInboundDataLength: maxGossipBytes,
          maxOutboundBufferSize: 16 * 1024 * 1024,
          maxInboundStreams: 8,
          maxOutboundStreams: 8,
          // A negative score leaves the mesh. Being ignored comes last: conduct can only cut off whom the validator still hears.
          scoreThresholds: { gossipThreshold: -100, publishThreshold: -1000, graylistThreshold: -10_000 },
          scoreParams: {
            // Members behind one address are no sign of an attack: only members get in.
            IPColocationFactorWeight: 0,
            appSpecificScore: (peer) => -demerits(peer),
            appSpecificWeight: 1,
            decayInterval: scoreDecayMs,
            behaviourPenaltyDecay: 0.2 ** (scoreDecayMs / 1000),
            topics: {
              [names.topic]: {
                topicWeight: 1,
                timeInMeshWeight: 0,
                firstMessageDeliveriesWeight: 0,
                // A quiet member is a good member: clusters are often idle.
                meshMessageDeliveriesWeight: 0,
                meshFailurePenaltyWeight: 0,
                invalidMessageDeliveriesWeight: -1.5,
                invalidMessageDeliveriesDecay: 0.98 ** (scoreDecayMs / 1000),
                timeInMeshQuantum: 1000,
                timeInMeshCap: 1,
                firstMessageDeliveriesDecay: 0.5,
                firstMessageDeliveriesCap: 1,
                meshMessageDeliveriesDecay: 0.5,
                meshMessageDeliveriesCap: 1,
                meshMessageDeliveriesThreshold: 1,
                meshMessageDeliveriesWindow: 10,
                meshMessageDeliveriesActivation: 5000,
                meshFailurePenaltyDecay: 0.5,
              },
            },
          },
        }),
        isOutside,
      ),
    },
  })
}
