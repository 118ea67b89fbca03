/**
 * A member that keeps no rule: it has the cluster's secret and a key of its own, and says what it likes in every protocol
 * of ours. It listens nowhere and dials whom it is told to, so that a test decides what reaches which node first.
 */
import type { Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { type Cluster, clusterNames, secretNames } from '../../src/swarm/cluster/cluster.ts'
import { createSeed } from '../../src/swarm/cluster/key-file.ts'
import { pulseProtocol } from '../../src/swarm/members/pulse.ts'
import { channelOver } from '../../src/swarm/streams/channel.ts'
import { encryption } from '../../src/swarm/streams/encryption.ts'
import { createNode, dhtProtocol, type Libp2pNode } from '../../src/swarm/streams/libp2p-node.ts'
import { StreamWriter } from '../../src/swarm/streams/stream-writer.ts'
import { type Channel, frameHeader, type Identity, identityFromSeed } from '../../src/wire/wire.ts'
import { MemoryDatabase } from './memory-database.ts'
import { addProviderMessage, delimited, gossipMessage, pingMessage } from './protobuf.ts'

export interface HostileMember extends AsyncDisposable {
  readonly peer: string
  readonly identity: Identity
  /** For what has no method here. */
  readonly node: Libp2pNode
  /** Connects by a multiaddr with a peer id, and returns that id. */
  dial(address: string): Promise<string>
  /** Whether the connection stands; who expels this member closes it. */
  isConnected(peer: string): boolean
  /** Hands any bytes to the gossip of whom it is connected with, as fast as they are taken; several at once. */
  gossip(...messages: Uint8Array[]): Promise<void>
  /** Gossip messages that came from others. */
  readonly heard: Uint8Array[]
  /** A channel, for attacks that keep to frames. */
  open(peer: string, protocol: string): Promise<Channel>
  /** A stream with no frames at all. */
  stream(peer: string, protocol: string): Promise<HostileStream>
  /** Claims in the DHT, at this peer, to hold what these 32-byte hashes name; resolves when the peer took them. */
  claimToHold(peer: string, hashes: Uint8Array[]): Promise<void>
}

export interface HostileStream {
  readonly raw: Stream
  /** Sends the bytes in parts of `cut` bytes, each of which is a frame of Yamux. */
  send(bytes: Uint8Array, options?: { cut?: number }): Promise<void>
}

const gossipProtocol = '/meshsub/1.2.0'
const maxFrameBytes = 64 * 1024 * 1024

/** A key pair costs nothing. */
export function newIdentity(): Identity {
  return identityFromSeed(createSeed())
}

/** A frame as our channels read it, whatever `body` is; `length` lies about it. */
export function frame(body: Uint8Array, { length = body.length }: { length?: number } = {}): Uint8Array {
  return Buffer.concat([frameHeader(length, 2 ** 32 - 1), body])
}

export async function openHostileMember(
  stack: AsyncDisposableStack,
  { cluster, seed = createSeed() }: { cluster: Cluster; seed?: Uint8Array },
): Promise<HostileMember> {
  const identity = { ...identityFromSeed(seed), seed }
  const names = clusterNames(cluster)
  const node = await createNode({
    identity,
    names,
    encryption: encryption(secretNames(cluster)),
    database: new MemoryDatabase(),
    gater: {},
    listen: [],
    announce: [],
    mdns: false,
    agent: 'shoal/hostile',
    demerits: () => 0,
  })
  const { gossip } = node.services
  const heard: Uint8Array[] = []
  gossip.addEventListener('message', ({ detail }) => heard.push(detail.data))
  // Whoever does not answer is let go before it can do harm.
  await node.handle(pulseProtocol, (stream) => {
    stream.addEventListener('message', ({ data }) => void stream.send(data.subarray()))
  })
  await node.start()
  gossip.subscribe(names.topic)
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    stopped ??= (async () => await node.stop())()
    await stopped
  }
  stack.defer(stop)

  const openStream = async (peer: string, protocol: string): Promise<Stream> =>
    await node.dialProtocol(peerIdFromString(peer), protocol, { maxOutboundStreams: 1024 })

  const writers = new Map<string, StreamWriter>()

  return {
    peer: identity.peerId,
    identity,
    node,
    heard,
    async dial(address) {
      const connection = await node.dial(multiaddr(address))
      return connection.remotePeer.toString()
    },
    isConnected: (peer) => node.getConnections(peerIdFromString(peer)).length > 0,
    async gossip(...messages) {
      const rpc = delimited(Buffer.concat(messages.map((bytes) => gossipMessage(names.topic, bytes))))
      for (const peer of node.getPeers().map(String)) {
        const writer = writers.get(peer) ?? new StreamWriter(await openStream(peer, gossipProtocol))
        writers.set(peer, writer)
        await writer.write(rpc)
      }
    },
    open: async (peer, protocol) => channelOver(await openStream(peer, protocol), { maxFrameBytes }),
    async stream(peer, protocol) {
      const raw = await openStream(peer, protocol)
      const writer = new StreamWriter(raw)
      return {
        raw,
        async send(bytes, { cut = bytes.length } = {}) {
          for (let at = 0; at < bytes.length; at += cut) await writer.write(bytes.subarray(at, at + cut))
        },
      }
    },
    async claimToHold(peer, hashes) {
      const raw = await openStream(peer, dhtProtocol)
      const writer = new StreamWriter(raw)
      const address = multiaddr('/ip4/127.0.0.1/tcp/1')
      for (const hash of hashes) {
        await writer.write(delimited(addProviderMessage(hash, identity.peerId, address.bytes)))
      }
      // Messages of a stream are answered in their order, and a claim is not answered at all.
      const answered = new Promise((resolve) => raw.addEventListener('message', resolve, { once: true }))
      await writer.write(delimited(pingMessage))
      await answered
      await raw.close()
    },
    [Symbol.asyncDispose]: stop,
  }
}
