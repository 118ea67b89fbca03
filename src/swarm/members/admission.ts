/**
 * How who comes from outside becomes a member, or hears that it does not yet: by an invitation, which is good for this talk and for
 * nothing else, or by the cluster's secret where members have to be approved as well. The member asks, the newcomer says who it
 * is and proves its invitation, and hears what was decided; then the connection is closed. As a member it comes anew.
 */
import {
  type Background,
  type Clock,
  type Logger,
  LogLimit,
  type Metrics,
  networkOf,
  RecentMap,
} from '../../base/base.ts'
import type { Host } from '../streams/host.ts'
import {
  type AdmissionVerdict,
  admissionProtocol,
  type Introduction,
  introductionMessage,
  maxAddressesOffered,
  maxAdmissionBytes,
  maxOfferedLength,
  verdictMessage,
} from './admission-messages.ts'

/** Who decides, of the whole node. */
export interface AdmissionDesk {
  /** Secrets with which those who have an invitation shake hands now. */
  invitations(): readonly Uint8Array[]
  /** Whether nothing is given to that peer, as it is not approved. */
  isGuest(peer: string): boolean
  /** Whether this node has known for long enough who is a member to part from those that are not. */
  mayPart(): boolean
  /** What this node says where it is the newcomer; the addresses are the swarm's to say. */
  introduce(): Omit<Introduction, 'addresses'>
  /** Throws MalformedError for what no honest newcomer says. */
  judge(newcomer: Newcomer): Promise<AdmissionVerdict>
  /** What that peer says it decided about this node; it may be a guest itself. */
  hear(verdict: AdmissionVerdict, peer: string): Promise<void>
}

export interface Newcomer extends Introduction {
  peer: string
  /** The IP address that it comes from. */
  from: string
  /** It shook hands by an invitation, and lacks the cluster's secret. */
  isInvited: boolean
}

export interface AdmissionOptions {
  host: Host
  tasks: Background
  clock: Clock
  logger: Logger
  metrics: Metrics
  desk: AdmissionDesk
  /** Multiaddrs of this node. */
  addresses(): string[]
  /** The IP address behind a connection of that peer. */
  hostOf(peer: string): string
  isInvited(peer: string): boolean
  /** Closes what is open to the peer, and forgets where it was. */
  dismiss(peer: string): Promise<void>
}

export interface Admission {
  /** Whether a guest that comes from that address is let in for the talk. */
  isDue(peer: string, from: string): boolean
  /** Talks to a peer that is connected and no member, and closes the connection. Returns at once. */
  receive(peer: string): void
}

const withinMs = 5000
/** Identities cost nothing, hosts something: neither takes all of it. */
const maxAtOnce = 16
const maxOfOneNetwork = 4
const onceInMs = 1000
const maxRemembered = 4096

export async function openAdmission(options: AdmissionOptions): Promise<Admission> {
  const { host, tasks, clock, logger, metrics, desk, addresses, hostOf, isInvited, dismiss } = options
  /** Those that are talked to, with the network they come from. */
  const talking = new Map<string, string>()
  const lastMs = new RecentMap<string, number>(maxRemembered)
  const limit = new LogLimit({ clock })
  const signalOf = (stop: AbortSignal): AbortSignal => AbortSignal.any([stop, AbortSignal.timeout(withinMs)])

  const hasRoom = (from: string): boolean => {
    const network = networkOf(from)
    const same = [...talking.values()].filter((other) => other === network)
    return talking.size < maxAtOnce && same.length < maxOfOneNetwork
  }

  const talk = async (peer: string, stop: AbortSignal): Promise<void> => {
    const signal = signalOf(stop)
    const frames = { maxFrameBytes: maxAdmissionBytes, signal }
    try {
      const channel = await host.open(peer, admissionProtocol, frames)
      await channel.send(new Uint8Array(0), { signal })
      const said = await channel.receive({ signal })
      if (said === undefined) return
      const introduction = introductionMessage.decode(said)
      const newcomer = { ...introduction, peer, from: hostOf(peer), isInvited: isInvited(peer) }
      const verdict = await desk.judge(newcomer)
      metrics.count('shoal_swarm_admissions_total', { verdict: verdict.kind })
      await channel.send(verdictMessage.encode(verdict), { signal })
      await channel.close()
      // It closes its side once it has kept what it was told.
      await channel.receive({ signal })
    } catch (error) {
      if (!stop.aborted) logger.debug({ err: error, peer }, 'a newcomer was not told whether it is a member')
    }
  }

  await host.handle(
    admissionProtocol,
    { maxFrameBytes: maxAdmissionBytes, maxInboundPerPeer: 1 },
    async (channel, peer) => {
      const signal = AbortSignal.timeout(withinMs)
      if ((await channel.receive({ signal })) === undefined) return
      const offered = addresses()
        .filter(({ length }) => length <= maxOfferedLength)
        .slice(0, maxAddressesOffered)
      await channel.send(introductionMessage.encode({ ...desk.introduce(), addresses: offered }), { signal })
      const told = await channel.receive({ signal })
      if (told !== undefined) await desk.hear(verdictMessage.decode(told), peer)
    },
  )

  return {
    isDue(peer, from) {
      limit.line(networkOf(from), (unsaid) => {
        logger.info(
          { peer, from, unsaid },
          'a node that is no member yet knocks; shoal members lists who waits',
        )
      })
      const last = lastMs.get(peer) ?? Number.NEGATIVE_INFINITY
      if (!hasRoom(from) || clock.now() - last < onceInMs) return false
      lastMs.set(peer, clock.now())
      return true
    },

    receive(peer) {
      if (talking.has(peer)) return
      const from = hostOf(peer)
      const isTalk = hasRoom(from)
      if (isTalk) talking.set(peer, networkOf(from))
      tasks.start('admission', async (stop) => {
        try {
          if (isTalk) await talk(peer, stop)
        } finally {
          if (isTalk) talking.delete(peer)
          await dismiss(peer)
        }
      })
    },
  }
}
