/** The exchange at work: brings blobs here in verified pieces, from all members that hold some, and serves them as they come. */
import { type Clock, type Logger, type Metrics, noMetrics, silentLogger, systemClock } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import type { Blobs, OpenBlob, Partials } from '../store/store.ts'
import { type Channel, createVerifier, type Identity } from '../wire/wire.ts'
import { Background } from './background.ts'
import { blobReader } from './blob-reader.ts'
import { Complaints } from './complaints.ts'
import { openDirectLanes } from './direct-lanes.ts'
import type { DownloadLimits } from './download-events.ts'
import { BlobUnavailableError } from './engine-errors.ts'
import { type Fault, Faults, type Misconduct } from './faults.ts'
import { Holdings } from './holdings.ts'
import { Liars } from './list-candidates.ts'
import { MemoryBudget } from './memory-budget.ts'
import { exchangeProtocol } from './messages.ts'
import { PeerLinks } from './peer-links.ts'
import { pieceListDomain } from './piece-list.ts'
import { type PieceListStorage, PieceLists } from './piece-lists.ts'
import { Prefetches } from './prefetches.ts'
import { Preparations } from './preparations.ts'
import { maxFrameBytes } from './raw-frames.ts'
import { Serving } from './serving.ts'
import { TokenBucket } from './token-bucket.ts'
import { Traffic } from './traffic.ts'
import { Transfers } from './transfers.ts'
import type { UploadLimits } from './upload.ts'
import { untilEither } from './wait.ts'
import type { Wanted } from './want.ts'

export type { Fault, Misconduct } from './faults.ts'
export type { PieceListStorage } from './piece-lists.ts'
export type { Wanted } from './want.ts'

export interface Exchange extends AsyncDisposable {
  /**
   * A blob to read while it is on its way, or from the store when it is there; `undefined` when no member lets the repository
   * have it, which is known within about two seconds. All readers of a digest share one transfer, which begins near where they
   * read. The blob's last piece comes once its whole digest is proven and it is in the store. Reading throws
   * BlobUnprovenError when the proof fails, BlobUnavailableError when nobody holds the rest any more, StoreFullError.
   * The transfer stops a while after its last reader was disposed of, and the part is kept.
   */
  open(wanted: Wanted, options?: { signal?: AbortSignal }): Promise<OpenBlob | undefined>
  /** Brings the blob into the store; false when no member could give it. Throws StoreFullError. */
  fetch(wanted: Wanted, options?: { signal?: AbortSignal }): Promise<boolean>
  /**
   * The size of a blob that a member holds for the repository, as that member says, without fetching it.
   * Members that do not answer delay an `undefined` by `withinMs`, default 2 s.
   */
  find(
    wanted: Wanted,
    options?: { signal?: AbortSignal; withinMs?: number },
  ): Promise<{ size: number } | undefined>
  /** Begins to fetch when nothing more urgent is under way. Forgotten when too many wait. */
  prefetch(wanted: Wanted): void
  /**
   * The blob came into the store, or left it, in another way than through here: askers are told. Ends its being rotten.
   * Its pieces are hashed soon, so that the first asker need not wait for that.
   */
  changed(digest: Digest): void
  status(): ExchangeStatus
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
    handler: (channel: Channel, peer: string, options: { signal: AbortSignal }) => Promise<void>,
  ): Promise<void>
  open(
    peer: string,
    protocol: string,
    options: { maxFrameBytes: number; signal?: AbortSignal },
  ): Promise<Channel>
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
}

export interface ExchangeLimits {
  /** Of pieces, to and from all peers together; default unlimited. */
  uploadBytesPerSecond?: number
  downloadBytesPerSecond?: number
  /** Of pieces on their way, for all transfers together; default 64 MiB. */
  memoryBytes: number
  /** How long a transfer goes on without a reader; default 10 s. */
  graceMs: number
  /** A transfer to which nothing comes for this long fails; default 30 s. */
  giveUpMs: number
  /** Prefetches at once; default 3. */
  prefetches: number
  upload: Partial<UploadLimits>
  download: Partial<DownloadLimits>
}

export interface ExchangeOptions {
  identity: Identity
  host: ExchangeHost
  blobs: Pick<Blobs, 'open' | 'stat'>
  partials: Partials
  pieceLists: PieceListStorage
  /** The SHA-256 of each piece of a stored blob, one after the other, computed off the main thread. */
  hashPieces(digest: Digest): Promise<Uint8Array>
  providers: Providers
  members: ExchangeMembers
  mayRead(repository: Repository, digest: Digest): Promise<boolean>
  /** The peer did what no honest and healthy one does. */
  blame(peer: string, misconduct: Misconduct): void
  /** A stored blob is not what it was: it wants to be moved away and fetched again. Nothing of it is served meanwhile. */
  onRotten(digest: Digest): void
  /** Direct TLS connections for the bytes of pieces; default none, everything takes the channels of the host. */
  lanes?: {
    /** To listen on; 0 for any port. */
    host: string
    port: number
    /** How long connecting may take; default 500. */
    connectMs?: number
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

const defaultLimits: ExchangeLimits = {
  memoryBytes: 64 * 1024 * 1024,
  graceMs: 10_000,
  giveUpMs: 30_000,
  prefetches: 3,
  upload: {},
  download: {},
}

/** Throws LaneError when the lanes' port cannot be listened on. */
export async function openExchange(options: ExchangeOptions): Promise<Exchange> {
  const { identity, host, blobs, members, providers, mayRead } = options
  const { clock = systemClock, random = Math.random, logger = silentLogger, metrics = noMetrics } = options
  const limits = { ...defaultLimits, ...options.limits }
  const background = new Background(logger)
  const faults = new Faults({ blame: options.blame, logger, metrics })
  const traffic = new Traffic(metrics)
  const holdings = new Holdings({ blobs, mayRead })
  const verifier = createVerifier(pieceListDomain)
  const { pieceLists: storage, hashPieces } = options
  const lists = new PieceLists({ identity, storage, verifier, hashPieces, logger })
  const memory = new MemoryBudget(limits.memoryBytes)
  const direct =
    options.lanes === undefined ? undefined : await openDirectLanes({ ...options.lanes, background, clock })
  const links = new PeerLinks({
    host,
    background,
    faults,
    traffic,
    clock,
    ...(direct === undefined || options.lanes === undefined
      ? {}
      : { lanes: { direct, addressesOf: options.lanes.addressesOf } }),
  })
  const shared = { background, holdings, lists, faults, providers, clock, random, logger }
  const transfers = new Transfers({
    ...shared,
    self: identity.peerId,
    links,
    members,
    partials: options.partials,
    liars: new Liars(),
    verifier,
    memory,
    limits: limits.download,
    giveUpMs: limits.giveUpMs,
    graceMs: limits.graceMs,
    ...bucket(limits.downloadBytesPerSecond, clock),
  })
  const serving = new Serving({
    ...shared,
    complaints: new Complaints({ ...shared, onRotten: options.onRotten }),
    traffic,
    limits: limits.upload,
    ...bucket(limits.uploadBytesPerSecond, clock),
    ...(direct === undefined ? {} : { lanes: direct }),
    onAsker: (peer, digest) => transfers.get(digest)?.consider(peer),
  })
  const bounded = (signal: AbortSignal | undefined): AbortSignal =>
    signal === undefined ? background.signal : AbortSignal.any([signal, background.signal])

  /** What is in the store may be read by whom this node or a member lets. */
  const isAllowed = async (wanted: Wanted, signal: AbortSignal): Promise<boolean> =>
    (await mayRead(wanted.repository, wanted.digest)) ||
    (await transfers.find(wanted, { signal })) !== undefined

  const open = async (wanted: Wanted, signal: AbortSignal): Promise<OpenBlob | undefined> => {
    const here = await blobs.stat(wanted.digest)
    if (here !== undefined) {
      return (await isAllowed(wanted, signal)) ? await blobs.open(wanted.digest) : undefined
    }
    const share = await transfers.join(wanted, { signal })
    if (share === undefined) return undefined
    const { transfer, release } = share
    try {
      const layout = await untilEither(transfer.ready, signal)
      return blobReader({ transfer, layout, blobs, release })
    } catch (error) {
      release()
      if (error instanceof BlobUnavailableError) return undefined
      throw error
    }
  }

  const fetch = async (wanted: Wanted, signal: AbortSignal): Promise<boolean> => {
    if ((await blobs.stat(wanted.digest)) !== undefined) return await isAllowed(wanted, signal)
    const share = await transfers.join(wanted, { signal })
    if (share === undefined) return false
    try {
      await untilEither(share.transfer.done, signal)
      return true
    } catch (error) {
      if (error instanceof BlobUnavailableError) return false
      throw error
    } finally {
      share.release()
    }
  }

  const preparations = new Preparations({ blobs, lists, members, background, clock, logger })
  const prefetches = new Prefetches({ limit: limits.prefetches, background, logger, fetch })

  metrics.gauge('exchange_transfers', () => transfers.list().length)
  metrics.gauge('exchange_memory_bytes', () => memory.used)
  await host.handle(
    exchangeProtocol,
    { maxFrameBytes, maxInboundPerPeer: 4 },
    async (channel, peer, context) => {
      await serving.serve(channel, peer, { signal: bounded(context.signal) })
    },
  )
  background.start('sweep', async (signal) => await links.sweep(signal))

  return {
    open: async (wanted, { signal } = {}) => await open(wanted, bounded(signal)),
    fetch: async (wanted, { signal } = {}) => await fetch(wanted, bounded(signal)),
    find: async (wanted, { signal, ...rest } = {}) =>
      await transfers.find(wanted, { ...rest, signal: bounded(signal) }),
    prefetch: (wanted) => prefetches.add(wanted),
    changed(digest) {
      holdings.changed(digest)
      preparations.add(digest)
    },
    status: () => ({
      transfers: transfers.list().map(({ digest, progress }) => {
        const { size, ...rest } = progress
        return { digest, ...(size === undefined ? {} : { size }), ...rest }
      }),
      peers: [...new Set([...traffic.peers(), ...faults.peers()])].map((peer) => ({
        peer,
        ...traffic.of(peer),
        faults: faults.of(peer),
      })),
      memoryBytes: memory.used,
    }),
    async [Symbol.asyncDispose]() {
      await direct?.[Symbol.asyncDispose]()
      await background[Symbol.asyncDispose]()
      await holdings[Symbol.asyncDispose]()
    },
  }
}

function bucket(bytesPerSecond: number | undefined, clock: Clock): { budget?: TokenBucket } {
  if (bytesPerSecond === undefined) return {}
  return { budget: new TokenBucket({ bytesPerSecond, nowMs: clock.now() }) }
}
