/** What the exchange promises, and what it needs from the rest of the node. */
import type { Clock, Logger, Metrics } from '../base/base.ts'
import type { Digest, RangesOf, Repository } from '../oci/oci.ts'
import type { Blobs, OpenBlob, Partials } from '../store/store.ts'
import type { BatchChannel, Identity } from '../wire/wire.ts'
import type { Fault, Misconduct } from './peer/faults.ts'
import type { Wanted } from './protocol/wanted.ts'
import type { HashPieces } from './seeding/list-making.ts'
import type { PieceListStorage } from './seeding/piece-lists.ts'
import type { TransferView } from './transfer/transfer-view.ts'

export interface Exchange extends AsyncDisposable {
  /**
   * A blob to read while it is on its way, or from the store when it is there; `undefined` when no member lets the repository
   * have it, which is known within about two seconds. All readers of a digest share one transfer, which begins near where they
   * read. The blob's last piece comes once its whole digest is proven and it is in the store. Reading throws
   * BlobUnprovenError when the proof fails, BlobUnavailableError when nobody holds the rest any more, StoreFullError.
   * The transfer stops a while after its last reader was disposed of, and the part is kept.
   * With `ranges` these alone may be read, and no more is brought for them than the pieces that they lie in; where they are less
   * than all, the last piece comes as soon as it matches a list whose author says that it has proven the blob.
   */
  open(wanted: Wanted, options?: { signal?: AbortSignal; ranges?: RangesOf }): Promise<OpenBlob | undefined>
  /** Brings the blob into the store; false when no member could give it. Throws StoreFullError. */
  fetch(wanted: Wanted, options?: { signal?: AbortSignal }): Promise<boolean>
  /**
   * The size of a blob that is here, or was brought here within `withinMs`. One of `sizes`, which is what manifests say, is told as soon
   * as a piece of a blob of that size has come, or then if a member claims it; and none when `fetch` has been in vain of late.
   */
  find(
    wanted: Wanted,
    options: { signal?: AbortSignal; withinMs: number; sizes?: readonly number[] },
  ): Promise<{ size: number } | undefined>
  /**
   * Has a blob come from its origin for the whole cluster: what no member has comes from `origin`, in order, and is passed on piece
   * by piece at once. Whoever calls it for the same blob meanwhile shares it; it ends when the last of them aborts. False when
   * there is no such blob. Throws what the origin throws, OriginError, BlobUnprovenError, StoreFullError.
   */
  fetchFromOrigin(wanted: Wanted, origin: Origin, options: { signal: AbortSignal }): Promise<boolean>
  /**
   * Small content that is no blob of the store, such as a manifest, proven: its bytes, and who gave them; `undefined` when no
   * member gives it. What claims to be larger than `maxBytes` is left. `likely`, a member that most likely has it, is asked first.
   */
  read(
    wanted: Wanted,
    options: { maxBytes: number; likely?: string | undefined; signal?: AbortSignal },
  ): Promise<{ bytes: Uint8Array; peer: string } | undefined>
  /** Peer ids of members that say within that time that they hold all of it, in their order. */
  seeders(wanted: Wanted, options: { withinMs: number; signal?: AbortSignal }): Promise<string[]>
  /** A large blob is going to be asked of the peer soon: what takes a while to begin begins now. */
  ready(peer: string): void
  /** Begins to fetch when nothing more urgent is under way. Forgotten when too many wait. */
  prefetch(wanted: Wanted): void
  /**
   * The blob came into the store, or left it, in another way than through here: downloaders are told. Ends its being rotten.
   * Its pieces are hashed soon, so that the first downloader need not wait for that.
   */
  changed(digest: Digest): void
  status(): ExchangeStatus
  /** A blob on its way here as it stands, for whoever watches; `undefined` for one that is not. Costs a copy of its bitfield. */
  observe(digest: Digest): TransferView | undefined
}

/** Where a blob comes from that no member holds, such as a registry outside of the cluster. */
export interface Origin {
  /** Its bytes from `start` on, or from 0; `undefined` when there is no such blob. Nothing proves them but the whole digest. */
  open(start: number, options: { signal: AbortSignal }): Promise<OriginStream | undefined>
}

export interface OriginStream extends AsyncDisposable {
  /** Of the whole blob. */
  readonly size: number
  readonly start: number
  readonly chunks: AsyncIterable<Uint8Array>
}

/** How blobs are had that no member holds: one member, the delegate, fetches each from its origin for all. */
export interface OriginDelegation {
  /** Whether blobs of the repository have an origin at all. */
  covers(repository: Repository): boolean
  /**
   * Has the blob fetched and watches over it: by this node, which calls `fetchFromOrigin`, or by another. Resolves when whoever fetched it
   * needs no more watching, and is called again while pieces are missing that no member has; false when there is no such blob.
   * Throws when no member can fetch it: that is what its readers hear.
   */
  fetch(
    wanted: Wanted,
    options: {
      signal: AbortSignal
      fetchFromOrigin(origin: Origin, options: { signal: AbortSignal }): Promise<boolean>
      /** How long nothing of it has come here, from whomever; `undefined` while nothing of it is known here. */
      idleMs(): number | undefined
    },
  ): Promise<boolean>
}

export interface ExchangeStatus {
  transfers: {
    digest: Digest
    /** Absent until a piece list was found. */
    size?: number
    pieces: number
    held: number
    peers: number
  }[]
  peers: {
    peer: string
    receivedBytes: number
    sentBytes: number
    faults: Partial<Record<Fault, number>>
  }[]
  /** Memory lent to transfers. */
  memoryBytes: number
}

/** The part of the swarm's host that the exchange uses. Its channels copy a frame before `send` resolves. */
export interface ExchangeHost {
  handle(
    protocol: string,
    options: { maxFrameBytes: number; maxInboundPerPeer: number },
    handler: (channel: BatchChannel, peer: string, options: { signal: AbortSignal }) => Promise<void>,
  ): Promise<void>
  open(
    peer: string,
    protocol: string,
    options: { maxFrameBytes: number; signal?: AbortSignal },
  ): Promise<BatchChannel>
}

export interface Providers {
  /** Peer ids of members that may hold it, as they are found. */
  find(wanted: Wanted, options?: { signal?: AbortSignal }): AsyncIterable<string>
  announce(digest: Digest): void
  withdraw(digest: Digest): void
}

export interface ExchangeMembers {
  peers(): string[]
  onChange(listener: (event: { kind: 'join' | 'leave'; peer: string }) => void): () => void
  /** Whether it says that it is in another site than this node: what it has is dear. Default no member is. */
  isFar?(peer: string): boolean
}

export interface ExchangeLimits {
  /** Of pieces, to and from all peers together; default unlimited. */
  uploadBytesPerSecond?: number
  downloadBytesPerSecond?: number
  /** Of pieces on their way, for all transfers together; default 64 MiB. */
  memoryBytes: number
  /** How long a transfer goes on without a reader; default 10 s. */
  graceMs: number
  /** A transfer to which nothing comes for this long fails, or for two thirds of it before its first byte; default 30 s. */
  giveUpMs: number
  /** An origin that sends nothing for this long has stalled; default 2 s. */
  stallMs: number
  /** Prefetches at once; default 3. */
  prefetches: number
}

export interface ExchangeOptions {
  identity: Identity
  host: ExchangeHost
  blobs: Pick<Blobs, 'open' | 'stat'>
  /** What is given to members beside blobs: manifests. Default nothing. */
  manifests?: Pick<Blobs, 'open' | 'stat'> | undefined
  partials: Partials
  pieceLists: PieceListStorage
  /**
   * The SHA-256 of each of these pieces of a stored blob, one after the other, computed off the main thread: from `from`, before `to`,
   * which are some 8 MiB from a multiple of that on, or one piece.
   */
  hashPieces: HashPieces
  providers: Providers
  members: ExchangeMembers
  mayRead(repository: Repository, digest: Digest): Promise<boolean>
  /** The peer did what no honest and healthy one does. */
  blame(peer: string, misconduct: Misconduct): void
  /** Default: there is nothing but the cluster. */
  delegation?: OriginDelegation
  /** A stored blob is not what it was: it wants to be moved away and fetched again. Nothing of it is served meanwhile. */
  onRotten(digest: Digest): void
  /** Direct TLS connections between neighbours; default none, everything takes the streams of the host. */
  direct?: {
    /** To listen on; 0 for any port. */
    host: string
    port: number
    /** Hosts at which a connected peer may be reached, the likeliest first. */
    addressesOf(peer: string): string[]
  }
  limits?: Partial<ExchangeLimits>
  clock?: Clock
  /** From 0 to 1; for choices among equals, never for secrets. */
  random?: () => number
  logger?: Logger
  metrics?: Metrics
}
