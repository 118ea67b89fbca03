/** Answers members that ask for content: whether it is here, and its bytes, to a bounded number at once. */
import type { Clock, Metrics } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import { ChannelBrokenError } from '../wire/wire.ts'
import type { ByteChannel } from './channel.ts'
import type { ContentSource } from './content.ts'
import {
  fetchMessage,
  fetchProtocol,
  haveMessage,
  haveProtocol,
  maxMessageBytes,
  wantedMessage,
} from './content-messages.ts'
import type { Host } from './host.ts'
import { ServingSlots } from './serving-slots.ts'

export interface ServeLimits {
  /** Bodies being sent at once, to all and to one peer; beyond, the answer is "busy". */
  total: number
  perPeer: number
  /** A receiver that takes nothing for this long is cut off. */
  stallMs: number
}

export const defaultServeLimits: ServeLimits = { total: 64, perPeer: 16, stallMs: 30_000 }

const requestTimeoutMs = 5000

export interface ContentServerOptions {
  host: Host
  source: ContentSource
  metrics: Metrics
  limits: ServeLimits
  clock: Clock
}

export async function serveContent(options: ContentServerOptions): Promise<void> {
  const { host, source, metrics, limits, clock } = options
  const slots = new ServingSlots({ ...limits, clock })

  const receiveWanted = async (
    channel: ByteChannel,
  ): Promise<{ digest: Digest; repository: Repository } | undefined> => {
    const frame = await channel.receive({ signal: AbortSignal.timeout(requestTimeoutMs) })
    return frame === undefined ? undefined : wantedMessage.decode(frame)
  }

  await host.handle(
    haveProtocol,
    { maxFrameBytes: maxMessageBytes, maxInboundPerPeer: 256 },
    async (channel) => {
      const wanted = await receiveWanted(channel)
      if (wanted === undefined) return
      const { digest, repository } = wanted
      const yes = (await source.mayRead(repository, digest)) && (await source.has(digest))
      await channel.send(haveMessage.encode({ have: yes ? 'yes' : 'no' }))
    },
  )

  const sendContent = async (channel: ByteChannel, peer: string, stop: AbortSignal): Promise<void> => {
    const wanted = await receiveWanted(channel)
    if (wanted === undefined) return
    // Not before it was asked for something: silence takes no place.
    using slot = slots.take(peer)
    if (slot === undefined) {
      metrics.count('shoal_swarm_content_refused_total')
      await channel.send(fetchMessage.encode({ fetch: 'busy' }))
      return
    }
    const { digest, repository } = wanted
    const signal = AbortSignal.any([stop, slot.signal])
    await using blob = (await source.mayRead(repository, digest)) ? await source.open(digest) : undefined
    if (blob === undefined) {
      await channel.send(fetchMessage.encode({ fetch: 'absent' }), { signal })
      return
    }
    await channel.send(fetchMessage.encode({ fetch: 'content', size: blob.size }), { signal })
    const body = counted(blob.chunks(0, blob.size, { signal }), (bytes) => {
      slot.sent(bytes)
      metrics.count('shoal_swarm_content_sent_bytes_total', {}, bytes)
    })
    try {
      await channel.sendBytes(body, blob.size, { signal, stallMs: limits.stallMs })
    } catch (cause) {
      if (!slot.signal.aborted) throw cause
      throw new ChannelBrokenError('the place was given to another', { cause })
    }
  }

  await host.handle(
    fetchProtocol,
    { maxFrameBytes: maxMessageBytes, maxInboundPerPeer: limits.perPeer + 8 },
    (channel, peer, { signal }) => sendContent(channel, peer, signal),
  )
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  onChunk: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body) {
    onChunk(chunk.length)
    yield chunk
  }
}
