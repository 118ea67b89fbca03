/** Content that other members hold: finding who has it, fetching it whole from one of them, and telling what is here. */
import type { Digest, Repository } from '../oci/oci.ts'
import type { OpenBlob } from '../store/store.ts'

export interface Wanted {
  digest: Digest
  /** On whose behalf: the holder checks that this repository may read the digest. */
  repository: Repository
}

export interface Content {
  /**
   * Peer ids of members that say they have it, as they answer: connected members are asked at once, the DHT in parallel.
   * Look-ups for the same content share one, and its result for 5 s (500 ms when nobody had it).
   */
  find(wanted: Wanted, options?: { signal?: AbortSignal }): AsyncIterable<string>
  /**
   * Opens the content at the first provider that delivers; one that fails before its first byte is replaced by the next.
   * A slow one is not waited for alone. Throws ContentUnavailableError when there is none. The bytes are not verified: that is the receiving store's work,
   * and `blame` is for what it finds. `likely` is asked before anybody is looked for, when it is connected.
   */
  fetch(wanted: Wanted, options?: FetchOptions): Promise<Fetched>
  /** Tells the DHT soon that this node has the digest, and again at intervals. Never waits for the network. */
  announce(digest: Digest): void
  /** The same for content that was here before the node started: spread over the interval instead of at once. */
  resume(digest: Digest): void
  /** Stops announcing; others may see the digest in the DHT for up to two days, and are told "no" when they ask. */
  withdraw(digest: Digest): void
  /** The peer's bytes were not the digest's: it is penalised, and not asked for that digest for 10 minutes. */
  blame(peer: string, digest: Digest, reason: string): void
}

export interface FetchOptions {
  signal?: AbortSignal
  likely?: string
  /** Peers that are not asked. */
  except?: ReadonlySet<string>
}

export interface Fetched {
  peer: string
  size: number
  /**
   * Exactly `size` bytes, once; throws ChannelBrokenError or PeerStalledError when the provider fails on the way. Leaving the
   * loop early cancels. Each chunk is the consumer's to keep.
   */
  body: AsyncIterable<Uint8Array>
}

/** What this node serves to members. */
export interface ContentSource {
  /** `undefined` when it is not here. */
  open(digest: Digest): Promise<OpenBlob | undefined>
  has(digest: Digest): Promise<boolean>
  /** Whether content may be given out on behalf of the repository. */
  mayRead(repository: Repository, digest: Digest): Promise<boolean>
}
