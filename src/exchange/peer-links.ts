/** The channels to all peers that this node asks for something; those without a want are closed after a while. */
import type { Clock } from '../base/base.ts'
import type { Background } from './background.ts'
import type { ExchangeHost } from './engine.ts'
import type { Faults } from './faults.ts'
import { exchangeProtocol } from './messages.ts'
import { PeerLink } from './peer-link.ts'
import { maxFrameBytes } from './raw-frames.ts'
import type { Traffic } from './traffic.ts'

const idleMs = 30_000
const sweepMs = 5000

export interface PeerLinksOptions {
  host: ExchangeHost
  background: Background
  faults: Faults
  traffic: Traffic
  clock: Clock
}

export class PeerLinks {
  readonly #options: PeerLinksOptions
  readonly #links = new Map<string, PeerLink>()

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
      onBytes: (bytes) => traffic.received(peer, bytes),
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
        if (link.wants === 0 && link.idleSinceMs < before) link.close()
      }
    }
  }
}
