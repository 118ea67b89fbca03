/** Finds in the DHT who announces content. */
import { CID } from 'multiformats/cid'
import { create as createMultihash } from 'multiformats/hashes/digest'
import type { Metrics } from '../../base/base.ts'
import { algorithmOf, type Digest, hexOf } from '../../oci/oci.ts'
import type { Libp2pNode } from '../streams/libp2p-node.ts'
import type { Providers } from './providers.ts'

export interface FinderOptions {
  node: Pick<Libp2pNode, 'peerId'> & { services: Pick<Libp2pNode['services'], 'dht'> }
  /** Aborts when the swarm stops. */
  stop: AbortSignal
  metrics: Metrics
}

const timeoutMs = 2000
/** Names cost nothing, so that the first ones may all be false. */
const maxProviders = 256

export function createFinder({ node, stop, metrics }: FinderOptions): Providers['find'] {
  return async function* find({ digest }, { signal } = {}) {
    const found = new Set<string>()
    const late = AbortSignal.timeout(timeoutMs)
    const ending = [stop, late, ...(signal === undefined ? [] : [signal])]
    metrics.count('shoal_dht_searches_total')
    try {
      const events = node.services.dht.findProviders(cidOf(digest), { signal: AbortSignal.any(ending) })
      for await (const event of events) {
        if (event.name !== 'PROVIDER') continue
        for (const { id } of event.providers) {
          const peer = id.toString()
          if (id.equals(node.peerId) || found.has(peer)) continue
          if (found.size >= maxProviders) return
          found.add(peer)
          yield peer
        }
      }
    } catch {
      signal?.throwIfAborted()
      // A search that runs out of time has found what it found.
      metrics.count('shoal_dht_searches_failed_total')
    } finally {
      metrics.count('shoal_dht_lookups_total', { found: String(found.size > 0) })
    }
  }
}

/** How a digest is named in the DHT: a raw-codec CID, whose multihash is the key. */
export function cidOf(digest: Digest): CID {
  const code = algorithmOf(digest) === 'sha512' ? 0x13 : 0x12
  return CID.createV1(0x55, createMultihash(code, Buffer.from(hexOf(digest), 'hex')))
}
