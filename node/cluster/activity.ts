/** What members tell each other about what moves, while somebody watches: bytes by member, and the blobs on their way. */
import type { Exchange } from '../../src/exchange/exchange.ts'
import {
  type Channel,
  ChannelBrokenError,
  codec,
  digestText,
  type Infer,
  list,
  optional,
  peerIdText,
  struct,
  text,
  uint,
} from '../../src/wire/wire.ts'

import { type Condition, maxProblemLength, maxProblems } from './condition.ts'

export const activityProtocol = '/shoal/activity/1.0.0'
export const activityLimits = { maxFrameBytes: 64 * 1024, maxInboundPerPeer: 2 }

const maxPeers = 256
const maxTransfers = 32
export const maxNameLength = 64

const activity = struct({
  /** What the member is called. */
  name: text({ max: maxNameLength }),
  /** Bytes a second that it sends to others at most, all together; absent for no limit. */
  maxUpload: optional(uint()),
  /** Bytes of pieces that it received from others since it started. */
  peers: list(struct({ peer: peerIdText, received: uint() }), { max: maxPeers }),
  transfers: list(
    struct({
      digest: digestText,
      held: uint(),
      peers: uint(),
      pieces: uint(),
      size: optional(uint()),
    }),
    { max: maxTransfers },
  ),
  /** How the member is, by its own word. */
  condition: optional(
    struct({
      problems: list(text({ max: maxProblemLength }), { max: maxProblems }),
      disk: optional(
        struct({ free: uint(), total: uint(), filled: optional(uint()), limit: optional(uint()) }),
      ),
    }),
  ),
})

export type Activity = Infer<typeof activity>

export const activityMessage = codec(activity, { maxBytes: activityLimits.maxFrameBytes })
export const activityRequest = codec(struct({}), { maxBytes: 16 })

export function activityOf(
  { name, maxUpload, condition }: { name: string; maxUpload: number; condition?: Condition },
  exchange: Pick<Exchange, 'status'>,
): Activity {
  const { peers, transfers } = exchange.status()
  return {
    name,
    ...(maxUpload === 0 ? {} : { maxUpload }),
    ...(condition === undefined ? {} : { condition }),
    peers: peers.slice(-maxPeers).map(({ peer, receivedBytes }) => ({ peer, received: receivedBytes })),
    transfers: transfers.slice(0, maxTransfers).map(({ digest, size, pieces, held, peers: from }) => {
      return { digest, held, peers: from, pieces, ...(size === undefined ? {} : { size }) }
    }),
  }
}

/** Answers one question after the other until the asker closes the channel. */
export async function answerActivity(
  channel: Channel,
  /** Asked for each answer. */
  activity: () => Activity | Promise<Activity>,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  for (;;) {
    const request = await channel.receive({ signal })
    if (request === undefined) break
    activityRequest.decode(request)
    await channel.send(activityMessage.encode(await activity()), { signal })
  }
  await channel.close()
}

/** Throws when the member does not answer, or not what this is. */
export async function askActivity(channel: Channel, { signal }: { signal: AbortSignal }): Promise<Activity> {
  await channel.send(activityRequest.encode({}), { signal })
  const answer = await channel.receive({ signal })
  if (answer === undefined) throw new ChannelBrokenError('the member left without an answer')
  return activityMessage.decode(answer)
}
