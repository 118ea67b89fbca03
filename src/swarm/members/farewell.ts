/**
 * How members part from one that the policy bans: they show it the policy, look at the one that it shows, and close. So a node
 * learns that it is banned, and a member of a newer policy by which it is not, though nobody talks to it otherwise.
 */
import { type Background, type Clock, type Logger, LogLimit } from '../../base/base.ts'
import type { Host } from '../streams/host.ts'

/** Policies as signed records; what is not the newest changes nothing. */
export interface PolicyExchange {
  /** The one that stands here, empty when there is none. */
  show(): Uint8Array
  /** Throws MalformedError for what no honest node shows. */
  look(record: Uint8Array): Promise<void>
}

export interface FarewellOptions {
  host: Host
  tasks: Background
  clock: Clock
  logger: Logger
  policy: PolicyExchange
  isBanned(peer: string): boolean
  disconnect(peer: string): void
}

export interface Farewell {
  /** Whether a banned peer that comes is let in for it; seldom, and few at once. */
  isDue(peer: string): boolean
  /** Shows the policy to a peer that is connected, and disconnects it. Returns at once. */
  part(peer: string): void
}

export const policyProtocol = '/shoal/policy/1.0.0'
/** As large as a record may be. */
const maxFrameBytes = 64 * 1024
const withinMs = 2000
const onceInMs = 30_000
const maxAtOnce = 8
const maxRemembered = 4096

export async function openFarewell(options: FarewellOptions): Promise<Farewell> {
  const { host, tasks, clock, logger, policy, isBanned, disconnect } = options
  const parting = new Set<string>()
  /** When each was let in last. */
  const admittedMs = new Map<string, number>()
  const limit = new LogLimit({ clock })

  const tell = async (peer: string, stop: AbortSignal): Promise<void> => {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(withinMs)])
    try {
      const channel = await host.open(peer, policyProtocol, { maxFrameBytes, signal })
      await channel.send(policy.show(), { signal })
      const shown = await channel.receive({ signal })
      if (shown !== undefined && shown.length > 0) await policy.look(shown)
      await channel.close()
    } catch (error) {
      if (!stop.aborted) logger.debug({ err: error, peer }, 'a banned peer was not told the policy')
    }
  }

  await host.handle(policyProtocol, { maxFrameBytes, maxInboundPerPeer: 1 }, async (channel) => {
    const signal = AbortSignal.timeout(withinMs)
    const shown = await channel.receive({ signal })
    if (shown === undefined) return
    if (shown.length > 0) await policy.look(shown)
    await channel.send(policy.show(), { signal })
  })

  return {
    isDue(peer) {
      if (!isBanned(peer)) return false
      limit.line(peer, (unsaid) => {
        logger.info({ peer, unsaid }, 'a node that the policy bans tries to connect, and is refused')
      })
      const lastMs = admittedMs.get(peer) ?? Number.NEGATIVE_INFINITY
      if (parting.size >= maxAtOnce || clock.now() - lastMs < onceInMs) return false
      admittedMs.delete(peer)
      admittedMs.set(peer, clock.now())
      const [oldest] = admittedMs.keys()
      if (admittedMs.size > maxRemembered && oldest !== undefined) admittedMs.delete(oldest)
      return true
    },

    part(peer) {
      if (parting.has(peer)) return
      parting.add(peer)
      tasks.start('farewell', async (stop) => {
        try {
          await tell(peer, stop)
        } finally {
          parting.delete(peer)
          disconnect(peer)
        }
      })
    },
  }
}
