/** The exchange spoken by hand over real connections: a hostile member as the seeder that a test makes of it, or as a downloader. */
import { exchangeProtocol } from '../../src/exchange/protocol/messages.ts'
import { maxFrameBytes } from '../../src/exchange/protocol/raw-frames.ts'
import { channelOver } from '../../src/swarm/streams/channel.ts'
import type { BatchChannel, Identity } from '../../src/wire/wire.ts'
import { type Double, type DoubleOptions, double } from '../exchange/lab/double.ts'
import type { HostileMember } from './member.ts'

/** Has the member answer all who ask it for the blob, honestly where nothing else is said. */
export async function seedBy(
  member: HostileMember,
  options: Omit<DoubleOptions, 'mesh' | 'identity'>,
): Promise<Double> {
  const { node, identity } = member
  const stop = new AbortController()
  node.addEventListener('stop', () => stop.abort(new Error('the member stops')))
  const served = Promise.withResolvers<void>()
  const seeder = double({
    ...options,
    identity: identity as Identity,
    mesh: {
      join: () => undefined,
      handle: (_, handler) => {
        const serving = node.handle(exchangeProtocol, (stream, connection) => {
          const channel = channelOver(stream, { maxFrameBytes })
          const over = (error: unknown): void =>
            channel.abort(error instanceof Error ? error : new Error('over'))
          // What a peer that has gone makes of it is no matter of the test.
          handler(channel, connection.remotePeer.toString(), { signal: stop.signal }).catch(over)
        })
        void serving.then(served.resolve, served.reject)
      },
    },
  })
  await served.promise
  return seeder
}

/** A channel on which the member asks, and need not listen. */
export async function openExchange(member: HostileMember, peer: string): Promise<BatchChannel> {
  const { raw } = await member.stream(peer, exchangeProtocol)
  return channelOver(raw, { maxFrameBytes })
}
