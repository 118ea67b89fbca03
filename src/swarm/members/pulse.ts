/** Whether members are still there and how far away: one long-lived channel to each, a few bytes every five seconds. */
import { type Background, type Clock, type Logger, unlessAborted } from '../../base/base.ts'
import { type Channel, ChannelBrokenError, MalformedError } from '../../wire/wire.ts'
import type { ListeningHost } from '../streams/host.ts'

export interface Pulse {
  /** The last round trip, or `undefined` before the first. */
  latencyMs(peer: string): number | undefined
  joined(peer: string): void
  left(peer: string): void
}

export interface PulseOptions {
  self: string
  host: ListeningHost
  tasks: Background
  clock: Clock
  random: () => number
  logger: Logger
  /** Called for a member that does not answer: its connections are of no use. */
  onSilence(peer: string): void
}

export const pulseProtocol = '/shoal/pulse/1.0.0'
/** The last round trip in microseconds, big endian; the answer is the same bytes. */
const frameBytes = 4
const intervalMs = 5000
/** Time for a member that is busy, or swaps; a connection that is cut off costs others this long. */
const answerMs = 6000
/**
 * Whatever comes meanwhile: who sends a byte now and then and never answers is of no use either. Behind a full uplink lie a few
 * MiB, which 256 kbit/s carries in this time.
 */
const mostMs = 180_000
/** The first beat tells this side the round trip, the second the other one. */
const secondAfterMs = intervalMs / 4
/** A member may not make others work by beating faster. */
const minIntervalMs = intervalMs / 10

/** libp2p's own monitor opens a stream for each ping, which is most of what an idle node would cost. */
export async function openPulse(options: PulseOptions): Promise<Pulse> {
  const { self, host, tasks, clock, random, logger, onSilence } = options
  const latencies = new Map<string, number>()
  const beating = new Map<string, AbortController>()
  /** Of all members at once: to wake for each costs more than what is sent then. */
  let beatNow = Promise.withResolvers<void>()
  let isKeepingTime = false

  /**
   * Waits for as long as anything comes from the member, but not for ever: on a narrow link a pulse lies behind the bytes of
   * blobs.
   */
  const patiently = async <T>(
    peer: string,
    ms: number,
    signal: AbortSignal,
    work: (timely: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const sinceMs = clock.now()
    for (;;) {
      const late = new AbortController()
      const over = new AbortController()
      // By hand: each signal that is made of others costs as much as all the rest of a beat.
      const leave = (): void => late.abort(signal.reason)
      signal.addEventListener('abort', leave, { once: true })
      if (signal.aborted) leave()
      const waiting = clock.sleep(ms, over).then(
        () => late.abort(new DOMException('the member does not answer', 'TimeoutError')),
        () => undefined,
      )
      try {
        return await work(late.signal)
      } catch (error) {
        const isOver = host.silentMs(peer) > ms || clock.now() - sinceMs >= mostMs
        if (!isTimeout(error) || signal.aborted || isOver) throw error
      } finally {
        signal.removeEventListener('abort', leave)
        over.abort(new Error('it has answered'))
        await waiting
      }
    }
  }

  const keepTime = async (signal: AbortSignal): Promise<void> => {
    if (isKeepingTime) return
    isKeepingTime = true
    try {
      while (beating.size > 0) {
        await clock.sleep(intervalMs * (0.8 + 0.4 * random()), { signal })
        beatNow.resolve()
        beatNow = Promise.withResolvers()
      }
    } finally {
      isKeepingTime = false
    }
  }

  const beat = async (channel: Channel, peer: string, signal: AbortSignal): Promise<void> => {
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const frame = Buffer.alloc(frameBytes)
      frame.writeUInt32BE(Math.min(0xffff_ffff, Math.round((latencies.get(peer) ?? 0) * 1000)))
      const startMs = performance.now()
      const [, answer] = await Promise.all([
        channel.send(frame, { signal }),
        patiently(peer, answerMs, signal, (timely) => channel.receive({ signal: timely })),
      ])
      if (answer === undefined) throw new ChannelBrokenError('the member ended its pulse')
      latencies.set(peer, performance.now() - startMs)
      if (isFirst) await clock.sleep(secondAfterMs * (0.8 + 0.4 * random()), { signal })
      else await nextBeat(clock.now(), signal)
    }
  }

  const nextBeat = async (beatenMs: number, signal: AbortSignal): Promise<void> => {
    do await unlessAborted(beatNow.promise, signal)
    while (clock.now() - beatenMs < secondAfterMs)
  }

  const lead = async (peer: string, signal: AbortSignal): Promise<void> => {
    let channel: Channel | undefined
    try {
      channel = await patiently(peer, answerMs, signal, (timely) =>
        host.open(peer, pulseProtocol, { maxFrameBytes: frameBytes, signal: timely }),
      )
      await beat(channel, peer, signal)
    } catch (error) {
      channel?.abort(new ChannelBrokenError('the pulse ended', { cause: error }))
      if (signal.aborted) return
      logger.debug({ err: error, peer }, 'a member does not answer')
      onSilence(peer)
    }
  }

  await host.handle(
    pulseProtocol,
    { maxFrameBytes: frameBytes, maxInboundPerPeer: 2 },
    async (channel, peer, { signal }) => {
      let lastMs = Number.NEGATIVE_INFINITY
      while (true) {
        const frame = await silenceOf(
          peer,
          patiently(peer, intervalMs * 1.2 + answerMs, signal, (timely) =>
            channel.receive({ signal: timely }),
          ),
          signal,
        )
        if (frame === undefined) return
        const nowMs = performance.now()
        if (frame.length !== frameBytes || nowMs - lastMs < minIntervalMs)
          throw new MalformedError('no such pulse')
        lastMs = nowMs
        const micros = Buffer.from(frame).readUInt32BE()
        if (micros > 0) latencies.set(peer, micros / 1000)
        await channel.send(frame, { signal })
      }
    },
  )

  async function silenceOf<T>(peer: string, receiving: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await receiving
    } catch (error) {
      if (isTimeout(error) && !signal.aborted) {
        onSilence(peer)
        throw new ChannelBrokenError('the member fell silent', { cause: error })
      }
      throw error
    }
  }

  return {
    latencyMs: (peer) => latencies.get(peer),
    joined(peer) {
      // One of the two leads, so that one exchange tells both.
      if (self > peer || beating.has(peer)) return
      const stop = new AbortController()
      beating.set(peer, stop)
      tasks.start('pulse', async (signal) => await lead(peer, AbortSignal.any([signal, stop.signal])))
      tasks.start('beats', keepTime)
    },
    left(peer) {
      beating.get(peer)?.abort(new Error('the member left'))
      beating.delete(peer)
      latencies.delete(peer)
    },
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError'
}
