/** Gossip of small messages to every member, each validated before it is forwarded. */
import type { GossipSub, Message } from '@libp2p/gossipsub'
import { TopicValidatorResult } from '@libp2p/gossipsub'
import type { PeerId } from '@libp2p/interface'
import { type Clock, isExpected, type Logger, LogLimit, logFailure, type Metrics } from '../base/base.ts'
import { TooLargeError } from '../wire/wire.ts'
import type { Conduct } from './streams/conduct.ts'

/**
 * `accept`: new and right, pass it on. `ignore`: not wrong, but of no use (already known, or this node lacks what it needs
 * to judge). `reject`: no honest member would have passed it on; the relayer is penalised.
 */
export type Verdict = 'accept' | 'ignore' | 'reject'

export type SpreadHandler = (bytes: Uint8Array, from: string) => Promise<Verdict>

export interface Spread {
  /** Hands the message to the gossip mesh; nobody listening is no error. Throws TooLargeError above 256 KiB. */
  publish(bytes: Uint8Array): Promise<void>
  /**
   * Sets the one handler, which gets each message once. `from` is the member that relayed it, not its author. What was
   * published while this node was away never comes: repair is the caller's. Returns the unsubscriber.
   */
  onMessage(handler: SpreadHandler): () => void
}

export const maxMessageBytes = 256 * 1024

const verdicts: Record<Verdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
}

export interface SpreadOptions {
  gossip: Pick<GossipSub, 'topicValidators' | 'publish'>
  topic: string
  conduct: Pick<Conduct, 'isRefused' | 'penalise'>
  clock: Clock
  logger: Logger
  metrics: Metrics
}

export function createSpread({ gossip, topic, conduct, clock, logger, metrics }: SpreadOptions): Spread {
  const ignore: SpreadHandler = async () => 'ignore'
  let handler = ignore
  const failures = new LogLimit({ clock })

  const judge = async (from: string, message: Message): Promise<Verdict> => {
    if (message.data.length > maxMessageBytes) return 'reject'
    // A refused peer's connection is being closed; what it had already sent is not worth a verification.
    if (conduct.isRefused(from)) return 'ignore'
    return await handler(message.data, from)
  }

  gossip.topicValidators.set(topic, async (peer: PeerId, message: Message) => {
    const from = peer.toString()
    let verdict: Verdict
    try {
      verdict = await judge(from, message)
    } catch (error) {
      // What fails one fails them all: the first says so, as each of the next would.
      const subject = isExpected(error) ? 'a state' : 'a fault'
      failures.line(subject, () => logFailure(logger, error, 'gossip messages cannot be judged', { from }))
      verdict = 'ignore'
    }
    metrics.count('shoal_gossip_messages_total', { verdict })
    if (verdict === 'reject') conduct.penalise(from, 'invalid-message')
    return verdicts[verdict]
  })

  return {
    async publish(bytes) {
      if (bytes.length > maxMessageBytes) throw new TooLargeError(bytes.length, maxMessageBytes)
      await gossip.publish(topic, bytes)
    },
    onMessage(next) {
      handler = next
      return () => {
        if (handler === next) handler = ignore
      }
    },
  }
}
