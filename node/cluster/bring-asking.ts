/** Asks another member to bring a blob from an upstream, and listens whether it still does. */
import type { Wanted } from '../../src/exchange/exchange.ts'
import { UpstreamUnavailableError } from '../../src/upstream/upstream.ts'
import type { Channel } from '../../src/wire/wire.ts'
import {
  type BringAnswer,
  bringAnswer,
  bringProtocol,
  bringRequest,
  maxBringBytes,
} from './bring-messages.ts'

/** The part of the swarm that this uses. */
export interface BringHost {
  open(
    peer: string,
    protocol: string,
    options: { maxFrameBytes: number; signal?: AbortSignal },
  ): Promise<Channel>
}

export interface BringQuestion {
  wanted: Wanted
  /** Its name, for what is thrown. */
  upstream: string
  signal: AbortSignal
}

/** It says something every half second. */
const silentMs = 1_500

/** True when it brought it, false when there is no such blob. Throws UpstreamUnavailableError as the member tells it, and what channels throw. */
export async function askToBring(
  host: BringHost,
  peer: string,
  { wanted, upstream, signal }: BringQuestion,
): Promise<boolean> {
  const soon = (): AbortSignal => AbortSignal.any([signal, AbortSignal.timeout(silentMs)])
  const channel = await host.open(peer, bringProtocol, { maxFrameBytes: maxBringBytes, signal: soon() })
  try {
    const { repository, digest } = wanted
    await channel.send(bringRequest.encode({ repository, digest }), { signal: soon() })
    for (;;) {
      const frame = await channel.receive({ signal: soon() })
      if (frame === undefined)
        throw new UpstreamUnavailableError(upstream, 'unreachable', 'was left by the member that asked it')
      const answer = bringAnswer.decode(frame)
      if (answer.answer === 'failed') throw failureOf(upstream, answer)
      if (answer.answer !== 'coming') return answer.answer === 'here'
    }
  } finally {
    channel.abort(new Error('nothing is asked any more'))
  }
}

function failureOf(
  upstream: string,
  answer: Extract<BringAnswer, { answer: 'failed' }>,
): UpstreamUnavailableError {
  const { trouble, reason, retryAfterMs } = answer
  return new UpstreamUnavailableError(
    upstream,
    trouble,
    reason,
    retryAfterMs === undefined ? {} : { retryAfterMs },
  )
}
