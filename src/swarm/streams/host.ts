/** Channels to peers by protocol name, over the libp2p node. */
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import {
  type Background,
  isExpected,
  type Logger,
  LogLimit,
  type Metrics,
  steadyClock,
} from '../../base/base.ts'
import { type BatchChannel, ChannelBrokenError, MalformedError, TooLargeError } from '../../wire/wire.ts'
import { PeerUnreachableError } from '../errors.ts'
import { isPeerId } from './addresses.ts'
import { channelOver } from './channel.ts'
import type { Conduct } from './conduct.ts'
import type { Libp2pNode } from './libp2p-node.ts'

/** The channel is closed when the handler resolves, and reset when it throws. */
export type ChannelHandler = (
  channel: BatchChannel,
  peer: string,
  options: { signal: AbortSignal },
) => Promise<void>

export interface ProtocolOptions {
  maxFrameBytes: number
  /** Channels that one peer may have open at once; further ones are reset. */
  maxInboundPerPeer: number
}

export interface Host {
  /**
   * Serves a protocol, in which the opener speaks first: what a handler sends and resets at once can fail the opening.
   * A handler that throws MalformedError or TooLargeError has the peer penalised.
   */
  handle(protocol: string, options: ProtocolOptions, handler: ChannelHandler): Promise<void>
  /**
   * Opens a channel, connecting first when need be; of several protocols, with the first that the peer speaks. Throws
   * PeerUnreachableError.
   */
  open(
    peer: string,
    protocol: string | string[],
    options: { maxFrameBytes: number; signal?: AbortSignal },
  ): Promise<BatchChannel>
}

/** A host that knows who is still talking. */
export interface ListeningHost extends Host {
  /** How long ago anything came from a connected peer on any channel; infinite before that. */
  silentMs(peer: string): number
}

const openTimeoutMs = 10_000
const maxOutboundPerPeer = 256

export interface HostOptions {
  node: Libp2pNode
  tasks: Background
  conduct: Conduct
  logger: Logger
  metrics: Metrics
  /** False where a connection stays for a moment only, and is answered in the protocol of that alone. */
  isServed(connection: Pick<Connection, 'encryption' | 'remotePeer'>, protocol: string): boolean
}

export function createHost(options: HostOptions): ListeningHost {
  const { node, tasks, conduct, logger, metrics, isServed } = options
  const limit = new LogLimit({ clock: steadyClock, everyMs: 60_000 })
  const heardMs = new Map<string, number>()
  node.addEventListener('peer:disconnect', ({ detail }) => heardMs.delete(detail.toString()))

  const listen = (stream: Stream, peer: string): void => {
    stream.addEventListener('message', () => heardMs.set(peer, performance.now()))
  }

  const serve = async (channel: BatchChannel, peer: string, protocol: string, handler: ChannelHandler) => {
    try {
      await handler(channel, peer, { signal: tasks.signal })
      await channel.close()
    } catch (cause) {
      channel.abort(cause instanceof Error ? cause : new ChannelBrokenError('the handler failed', { cause }))
      if (cause instanceof MalformedError || cause instanceof TooLargeError)
        conduct.penalise(peer, 'protocol')
      else if (isOfThePeer(cause) || isExpected(cause) || tasks.signal.aborted)
        logger.debug({ err: cause, peer, protocol }, 'a peer was not served')
      else {
        limit.line(`${protocol} ${cause instanceof Error ? cause.name : ''}`, (unsaid) => {
          logger.warn({ err: cause, peer, protocol, unsaid }, 'serving a peer failed')
        })
      }
      metrics.count('shoal_swarm_channels_failed_total', { protocol })
    }
  }

  return {
    async handle(protocol, { maxFrameBytes, maxInboundPerPeer }, handler) {
      await node.handle(
        protocol,
        (stream, connection) => {
          const peer = connection.remotePeer.toString()
          // A reset would have the peer leave before it has heard why; the stream ends with the connection.
          if (!isServed(connection, protocol)) return
          const channel = channelOver(stream, { maxFrameBytes })
          listen(stream, peer)
          tasks.start(protocol, async () => await serve(channel, peer, protocol, handler))
        },
        { maxInboundStreams: maxInboundPerPeer, maxOutboundStreams: maxOutboundPerPeer },
      )
    },

    async open(peer, protocol, { maxFrameBytes, signal }) {
      if (!isPeerId(peer)) throw new PeerUnreachableError(peer, String(protocol))
      const bounded = AbortSignal.any([
        tasks.signal,
        AbortSignal.timeout(openTimeoutMs),
        ...(signal === undefined ? [] : [signal]),
      ])
      try {
        const stream = await node.dialProtocol(peerIdFromString(peer), protocol, {
          signal: bounded,
          maxOutboundStreams: maxOutboundPerPeer,
        })
        listen(stream, peer)
        return channelOver(stream, { maxFrameBytes })
      } catch (cause) {
        signal?.throwIfAborted()
        throw new PeerUnreachableError(peer, String(protocol), { cause })
      }
    },

    silentMs: (peer) => performance.now() - (heardMs.get(peer) ?? Number.NEGATIVE_INFINITY),
  }
}

/** It left, or said or took nothing for too long: nothing that this node could mend. */
function isOfThePeer(cause: unknown): boolean {
  return (
    cause instanceof ChannelBrokenError || (cause instanceof DOMException && cause.name === 'TimeoutError')
  )
}
