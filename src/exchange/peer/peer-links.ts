/** The channels to all peers that this node asks for something; those without a want are closed after a while. */
import type { Background, Clock } from '../../base/base.ts'
import type { ExchangeHost } from '../contract.ts'
import { exchangeProtocol } from '../protocol/messages.ts'
import { maxFrameBytes } from '../protocol/raw-frames.ts'
import { type DirectLanes, LaneError } from './direct-lanes.ts'
import type { Faults } from './faults.ts'
import type { LaneAccess } from './link-lane.ts'
import { PeerLink } from './peer-link.ts'
import type { Traffic } from './traffic.ts'

/** Where direct lanes lead. */
export interface LaneOptions {
  direct: DirectLanes
  /** Hosts at which the peer may be reached. */
  addressesOf(peer: string): string[]
}

const idleMs = 30_000
const sweepMs = 1000
/** How long a peer to which a lane failed is spoken to on the channel alone. */
const withoutLaneMs = 5 * 60_000
const maxRemembered = 1024

export interface PeerLinksOptions {
  host: ExchangeHost
  background: Background
  faults: Faults
  traffic: Traffic
  clock: Clock
  lanes?: LaneOptions
}

export class PeerLinks {
  readonly #options: PeerLinksOptions
  readonly #links = new Map<string, PeerLink>()
  /** Until when. */
  readonly #withoutLane = new Map<string, number>()

  constructor(options: PeerLinksOptions) {
    this.#options = options
  }

  /** The link to the peer; opened in the background when there is none. */
  to(peer: string): PeerLink {
    const known = this.#links.get(peer)
    if (known !== undefined && !known.ended) return known
    const { host, background, faults, traffic, clock } = this.#options
    const link = new PeerLink({
      peer,
      clock,
      open: async (options) => await host.open(peer, exchangeProtocol, { maxFrameBytes, ...options }),
      onFault: (fault, facts) => faults.add(peer, fault, facts),
      onBytes: (bytes, lane) => traffic.received(peer, bytes, lane),
      ...this.#laneTo(peer),
    })
    this.#links.set(peer, link)
    background.start('peer-link', async (signal) => {
      try {
        await link.run({ signal })
      } finally {
        if (this.#links.get(peer) === link) this.#links.delete(peer)
      }
    })
    return link
  }

  /** Closes what nobody uses, until stopped. */
  async sweep(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#options.clock.sleep(sweepMs, { signal })
      const before = this.#options.clock.now() - idleMs
      for (const link of this.#links.values()) {
        link.check()
        if (link.wants === 0 && link.idleSinceMs < before) link.close()
      }
    }
  }

  #laneTo(peer: string): { lane?: LaneAccess } {
    const { lanes, clock, background } = this.#options
    if (lanes === undefined || (this.#withoutLane.get(peer) ?? 0) > clock.now()) return {}
    const { direct, addressesOf } = lanes
    return {
      lane: {
        fingerprint: direct.fingerprint,
        connect: async (offer, options) => {
          const [address] = addressesOf(peer)
          if (address === undefined) throw new LaneError(`no address of ${peer} is known`)
          return await direct.connect(address, offer, options)
        },
        start: (work) => background.start('lane', work),
        onFailed: () => {
          const [oldest] = this.#withoutLane.keys()
          if (this.#withoutLane.size >= maxRemembered && oldest !== undefined)
            this.#withoutLane.delete(oldest)
          this.#withoutLane.set(peer, clock.now() + withoutLaneMs)
        },
      },
    }
  }
}
