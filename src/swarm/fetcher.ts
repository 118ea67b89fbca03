/** Fetches content whole from one provider, trying the next when one fails before its first byte. */
import type { Clock, Logger, Metrics } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import { ChannelBrokenError } from '../wire/wire.ts'
import type { ByteChannel } from './channel.ts'
import type { Conduct } from './conduct.ts'
import type { Fetched, FetchOptions, Wanted } from './content.ts'
import { fetchMessage, fetchProtocol, maxMessageBytes, wantedMessage } from './content-messages.ts'
import { ContentUnavailableError } from './errors.ts'
import type { Finder } from './finder.ts'
import { firstOf } from './first-of.ts'
import type { Host } from './host.ts'

export interface Fetcher {
  fetch(wanted: Wanted, options?: FetchOptions): Promise<Fetched>
  blame(peer: string, digest: Digest, reason: string): void
}

export interface FetcherOptions {
  host: Host
  finder: Finder
  /** Peer ids of those connected. */
  connected(): string[]
  conduct: Conduct
  clock: Clock
  logger: Logger
  metrics: Metrics
  limits: FetchLimits
}

/** How long a provider may send nothing: before its answer, the same when nobody was that quick, and between its bytes. */
export interface FetchLimits {
  startMs: number
  patientMs: number
  stallMs: number
}

export const defaultFetchLimits: FetchLimits = { startMs: 2000, patientMs: 8000, stallMs: 10_000 }

/** A likely provider that hangs must not cost more than looking for another one does. */
const likelyMs = 500
const blameMs = 10 * 60_000
const maxBlamed = 4096
/** A provider whose uplink is full answers late. So many are given more time; of hung ones each costs it in full. */
const maxLate = 3
/** One that takes longer is not waited for alone: names cost nothing, and each of them could hang. */
const besideMs = 400
const maxAtOnce = 8

interface StartOptions {
  /** Ends the body, too. */
  signal: AbortSignal | undefined
  /** Ends only what comes before it. */
  over?: AbortSignal
  startMs: number
}

interface Started extends Fetched {
  /** For one whose body nobody reads. */
  discard(): void
}

export function createFetcher(options: FetcherOptions): Fetcher {
  const { host, finder, connected, conduct, clock, logger, metrics, limits } = options
  /** Peer and digest, until when. */
  const blamed = new Map<string, number>()

  const isBlamed = (peer: string, digest: Digest): boolean =>
    (blamed.get(`${peer} ${digest}`) ?? 0) > clock.now()

  /** The content, or why there is none: what the provider said, `late`, or how it failed. */
  const start = async (
    peer: string,
    wanted: Wanted,
    { signal, over, startMs }: StartOptions,
  ): Promise<Started | string> => {
    const timeout = AbortSignal.timeout(startMs)
    const bounded = AbortSignal.any([timeout, ...[signal, over].filter((each) => each !== undefined)])
    let channel: ByteChannel | undefined
    try {
      channel = await host.open(peer, fetchProtocol, { maxFrameBytes: maxMessageBytes, signal: bounded })
      await channel.send(wantedMessage.encode(wanted), { signal: bounded })
      const frame = await channel.receive({ signal: bounded })
      if (frame === undefined) throw new ChannelBrokenError('the peer ended without an answer')
      const answer = fetchMessage.decode(frame)
      if (answer.fetch !== 'content') {
        await channel.close()
        return answer.fetch
      }
      const open = channel
      const discard = (): void => open.abort(new ChannelBrokenError('another provider was faster'))
      return { peer, size: answer.size, body: bodyOf(channel, answer.size, signal), discard }
    } catch (error) {
      const reason =
        error instanceof Error ? error : new ChannelBrokenError('fetching failed', { cause: error })
      channel?.abort(reason)
      signal?.throwIfAborted()
      return timeout.aborted ? 'late' : reason.message
    }
  }

  async function* bodyOf(
    channel: ByteChannel,
    size: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let ended = false
    try {
      for await (const chunk of channel.receiveBytes(size, { signal, stallMs: limits.stallMs })) {
        metrics.count('shoal_swarm_content_received_bytes_total', {}, chunk.length)
        yield chunk
      }
      ended = true
    } finally {
      if (ended) await channel.close()
      else channel.abort(new ChannelBrokenError('the fetch was given up'))
    }
  }

  return {
    async fetch(wanted, { signal, likely, except } = {}) {
      const failures: { peer: string; reason: string }[] = []
      const isOut = (peer: string): boolean => except?.has(peer) === true || isBlamed(peer, wanted.digest)
      if (likely !== undefined && connected().includes(likely) && !isOut(likely)) {
        const fetched = await start(likely, wanted, {
          signal,
          startMs: Math.min(likelyMs, limits.startMs),
        })
        if (typeof fetched !== 'string') return fetched
      }
      const late: string[] = []
      const deliver = async (peer: string, over: AbortSignal, startMs: number) => {
        const fetched = await start(peer, wanted, { signal, over, startMs })
        if (typeof fetched !== 'string') return fetched
        if (!over.aborted) noteFailure(peer, fetched)
        return undefined
      }
      const noteFailure = (peer: string, reason: string): void => {
        failures.push({ peer, reason })
        if (reason === 'late') late.push(peer)
        if (reason !== 'busy') finder.forget(wanted, peer)
        metrics.count('shoal_swarm_fetch_starts_failed_total')
        logger.debug({ peer, digest: wanted.digest, reason }, 'a provider did not deliver')
      }
      const race = (peers: AsyncIterable<string>, startMs: number, beside: number) =>
        firstOf(peers, {
          deliver: (peer, { signal: over }) => deliver(peer, over, startMs),
          discard: ({ discard }) => discard(),
          besideMs: beside,
          most: maxAtOnce,
          clock,
        })
      const found = finder.find(wanted, signal === undefined ? {} : { signal })
      const fetched =
        (await race(without(found, isOut), limits.startMs, besideMs)) ??
        (await race(each(late.slice(0, maxLate)), limits.patientMs, 0))
      if (fetched !== undefined) return fetched
      throw new ContentUnavailableError(wanted.digest, failures)
    },

    blame(peer, digest, reason) {
      const [oldest] = blamed.keys()
      if (blamed.size >= maxBlamed && oldest !== undefined) blamed.delete(oldest)
      blamed.set(`${peer} ${digest}`, clock.now() + blameMs)
      logger.warn({ peer, digest, reason }, 'a member sent bytes that are not the digest’s')
      conduct.penalise(peer, 'wrong-bytes')
    },
  }
}

async function* without(
  peers: AsyncIterable<string>,
  isOut: (peer: string) => boolean,
): AsyncGenerator<string, void, undefined> {
  for await (const peer of peers) if (!isOut(peer)) yield peer
}

async function* each(peers: string[]): AsyncGenerator<string, void, undefined> {
  yield* peers
}
