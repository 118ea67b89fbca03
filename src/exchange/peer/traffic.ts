/** Bytes that moved from and to each peer. */
import { type Metrics, RecentMap } from '../../base/base.ts'

/** How bytes of pieces travel: on a stream of the members' connection, or on a TLS connection of their own. */
export type Way = 'stream' | 'direct'

export interface PeerTraffic {
  receivedBytes: number
  sentBytes: number
}

const maxPeers = 1024

export class Traffic {
  readonly #peers = new RecentMap<string, PeerTraffic>(maxPeers)
  readonly #metrics: Metrics

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  received(peer: string, bytes: number, way: Way): void {
    this.#of(peer).receivedBytes += bytes
    this.#metrics.count('shoal_exchange_received_bytes_total', { connection: way }, bytes)
  }

  sent(peer: string, bytes: number, way: Way): void {
    this.#of(peer).sentBytes += bytes
    this.#metrics.count('shoal_exchange_sent_bytes_total', { connection: way }, bytes)
  }

  of(peer: string): PeerTraffic {
    return this.#peers.get(peer) ?? { receivedBytes: 0, sentBytes: 0 }
  }

  peers(): Iterable<string> {
    return this.#peers.keys()
  }

  #of(peer: string): PeerTraffic {
    const known = this.#peers.get(peer)
    if (known !== undefined) return known
    const traffic = { receivedBytes: 0, sentBytes: 0 }
    this.#peers.set(peer, traffic)
    return traffic
  }
}
