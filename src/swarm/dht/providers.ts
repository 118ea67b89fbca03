/** Who holds content, as the DHT knows it: providers are found there, and this node is one of what it announces. */
import type { Digest, Repository } from '../../oci/oci.ts'

export interface Wanted {
  digest: Digest
  /** On whose behalf: the holder checks that this repository may read the digest. */
  repository: Repository
}

export interface Providers {
  /** Peer ids that the DHT names, as they are found, at most 256 and within two seconds. */
  find(wanted: Wanted, options?: { signal?: AbortSignal }): AsyncIterable<string>
  /** Tells the DHT soon that this node has the digest, and again at intervals. Never waits for the network. */
  announce(digest: Digest): void
  /** Stops announcing; others may see the digest in the DHT for up to two days, and are told "no" when they ask. */
  withdraw(digest: Digest): void
}
