/** The exchange at work: brings blobs here in verified pieces, from all members that hold some, and serves them as they come. */
import {
  Background,
  type Clock,
  networkOf,
  noMetrics,
  silentLogger,
  steadyClock,
  TokenBucket,
  unlessAborted,
} from '../base/base.ts'
import type { Blobs } from '../store/store.ts'
import { createVerifier } from '../wire/wire.ts'
import type { Exchange, ExchangeLimits, ExchangeOptions, Origin } from './contract.ts'
import { BlobUnavailableError } from './errors.ts'
import { Connections } from './peer/connections.ts'
import { openDirect } from './peer/direct.ts'
import { Faults } from './peer/faults.ts'
import { FramePool } from './peer/frame-pool.ts'
import { Traffic } from './peer/traffic.ts'
import { exchangeProtocol } from './protocol/messages.ts'
import { pieceListDomain } from './protocol/piece-list.ts'
import { maxFrameBytes } from './protocol/raw-frames.ts'
import type { Wanted } from './protocol/wanted.ts'
import { Acquaintances } from './seeding/acquaintances.ts'
import { Complaints } from './seeding/complaints.ts'
import { Inventory } from './seeding/inventory.ts'
import { PieceLists } from './seeding/piece-lists.ts'
import { Preparations } from './seeding/preparations.ts'
import { Seeder } from './seeding/seeder.ts'
import { blobReader } from './transfer/blob-reader.ts'
import { Liars } from './transfer/candidates.ts'
import { Finding } from './transfer/finding.ts'
import { wantedPieces } from './transfer/interest.ts'
import { LookUp } from './transfer/look-up.ts'
import { MemoryBudget } from './transfer/memory-budget.ts'
import { Prefetches } from './transfer/prefetches.ts'
import { progressOf, viewOf } from './transfer/transfer-view.ts'
import { Transfers } from './transfer/transfers.ts'

const defaultLimits: ExchangeLimits = {
  memoryBytes: 64 * 1024 * 1024,
  graceMs: 10_000,
  giveUpMs: 30_000,
  stallMs: 2_000,
  prefetches: 3,
}

type Stored = Pick<Blobs, 'open' | 'stat'>

/** Throws DirectError when the port for direct connections cannot be listened on. */
export async function openExchange(options: ExchangeOptions): Promise<Exchange> {
  const { identity, host, blobs, members, providers, mayRead } = options
  const { clock = steadyClock, random = Math.random, logger = silentLogger, metrics = noMetrics } = options
  const limits = { ...defaultLimits, ...options.limits }
  const background = new Background('the exchange', logger)
  const faults = new Faults({ blame: options.blame, logger, metrics })
  const traffic = new Traffic(metrics)
  const { manifests } = options
  const inventory = new Inventory({
    blobs: manifests === undefined ? blobs : either(blobs, manifests),
    mayRead,
  })
  const verifier = createVerifier(pieceListDomain)
  const { pieceLists: storage, hashPieces } = options
  const { signal } = background
  const lists = new PieceLists({ identity, storage, verifier, hashPieces, clock, logger, signal })
  const memory = new MemoryBudget(limits.memoryBytes)
  const pool = new FramePool()
  const listener =
    options.direct === undefined
      ? undefined
      : await openDirect({ ...options.direct, background, clock, pool })
  const links = new Connections({
    self: identity.peerId,
    host,
    background,
    faults,
    traffic,
    clock,
    seed: (connection) => seeder.open(connection),
    onTick: () => seeder.tick(),
    ...(listener === undefined || options.direct === undefined
      ? {}
      : { direct: { listener, addressesOf: options.direct.addressesOf } }),
  })
  const admits = async (wanted: Wanted, origin: Origin, signal: AbortSignal): Promise<boolean> => {
    if (await mayRead(wanted.repository, wanted.digest)) return true
    const stream = await origin.open(0, { signal })
    await stream?.[Symbol.asyncDispose]()
    return stream !== undefined
  }
  const shared = { background, inventory, lists, faults, providers, clock, random, logger }
  const asked = { ...shared, self: identity.peerId, links, members }
  const lookUp = new LookUp({ ...asked, stop: background.signal })
  /** What is here, or on its way, may be read by whom this node or a member lets. */
  const isAllowed = async (wanted: Wanted, signal: AbortSignal): Promise<boolean> =>
    (await mayRead(wanted.repository, wanted.digest)) || (await lookUp.isHeldFor(wanted, { signal }))
  const transfers = new Transfers({
    ...asked,
    isAllowed,
    partials: options.partials,
    liars: new Liars(),
    verifier,
    memory,
    pool,
    originMemory: new MemoryBudget(limits.memoryBytes),
    admits,
    giveUpMs: limits.giveUpMs,
    metrics,
    stallMs: limits.stallMs,
    ...(options.delegation === undefined ? {} : { delegation: options.delegation }),
    graceMs: limits.graceMs,
    downloadersOf: (digest) => seeder.downloadersOf(digest),
    onLess: (peer, digest) => seeder.retell(peer, digest),
    ...bucket(limits.downloadBytesPerSecond, clock),
  })
  const acquaintances = new Acquaintances(members, clock)
  const seeder = new Seeder({
    ...shared,
    complaints: new Complaints({
      ...shared,
      onRotten: options.onRotten,
      hostOf: (peer) => networkOf(options.direct?.addressesOf(peer)[0] ?? peer),
    }),
    traffic,
    pool,
    ...bucket(limits.uploadBytesPerSecond, clock),
    knownMs: (peer) => acquaintances.knownMs(peer),
    onDownloader: (peer, digest) => transfers.get(digest)?.sources.consider(peer),
    isWith: (peer, digest, piece) => transfers.get(digest)?.sources.isWith(peer, piece) === true,
  })
  const finding = new Finding({ blobs, lookUp, transfers, clock })
  const bounded = (signal: AbortSignal | undefined): AbortSignal =>
    signal === undefined ? background.signal : AbortSignal.any([signal, background.signal])

  const fetch = async (wanted: Wanted, signal: AbortSignal): Promise<boolean> => {
    if ((await blobs.stat(wanted.digest)) !== undefined) return await isAllowed(wanted, signal)
    const share = await transfers.join(wanted, { signal })
    if (share === undefined) {
      finding.inVain(wanted.digest)
      return false
    }
    try {
      await unlessAborted(share.transfer.state.done, signal)
      return true
    } catch (error) {
      if (!signal.aborted) finding.inVain(wanted.digest)
      if (error instanceof BlobUnavailableError) return false
      throw error
    } finally {
      share.release()
    }
  }

  const preparations = new Preparations({ blobs, lists, members, background, clock, logger })
  const prefetches = new Prefetches({ limit: limits.prefetches, background, logger, fetch })

  metrics.gauge('shoal_exchange_transfers', () => transfers.list().length)
  metrics.gauge('shoal_exchange_memory_bytes', () => memory.used)
  await host.handle(
    exchangeProtocol,
    { maxFrameBytes, maxInboundPerPeer: 4 },
    async (channel, peer, context) => {
      await links.accept(channel, peer, { signal: bounded(context.signal) })
    },
  )

  return {
    async open(wanted, { ranges, ...options } = {}) {
      const signal = bounded(options.signal)
      if ((await blobs.stat(wanted.digest)) !== undefined) {
        if (!(await isAllowed(wanted, signal))) return undefined
        const here = await blobs.open(wanted.digest)
        // What is found to be rotten when it is opened is brought as if it had not been here.
        if (here !== undefined) return here
      }
      const askedMs = clock.now()
      const share = await transfers.join(wanted, { ranges, signal })
      if (share === undefined) return undefined
      const foundMs = clock.now()
      const { transfer, release } = share
      try {
        const layout = await unlessAborted(transfer.state.ready, signal)
        const begun = { askedMs, foundMs, readyMs: clock.now() }
        const { state } = transfer
        const isPart = wantedPieces({ ranges }, layout) !== 'all'
        return blobReader({ state, layout, blobs, isPart, begun, clock, release })
      } catch (error) {
        release()
        const isNowhere = error instanceof BlobUnavailableError && error.cause === undefined && !error.isHeld
        if (isNowhere) return undefined
        throw error
      }
    },
    fetch: async (wanted, { signal } = {}) => await fetch(wanted, bounded(signal)),
    async find(wanted, options) {
      const signal = bounded(options.signal)
      const here = await blobs.stat(wanted.digest)
      if (here === undefined) return await finding.find(wanted, options, signal)
      return (await isAllowed(wanted, signal)) ? { size: here.size } : undefined
    },
    async fetchFromOrigin(wanted, origin, options) {
      const signal = bounded(options.signal)
      if ((await blobs.stat(wanted.digest)) !== undefined) return await admits(wanted, origin, signal)
      const share = await transfers.fetchFromOrigin(wanted, origin, signal)
      if (share === undefined) return false
      try {
        return await share.transfer.origin.fetchFromOrigin(origin, { signal })
      } finally {
        share.release()
      }
    },
    read: async (wanted, { signal, ...rest }) =>
      await lookUp.read(wanted, { ...rest, signal: bounded(signal) }),
    seeders: async (wanted, { withinMs, signal }) =>
      await lookUp.seeders(wanted, { withinMs, signal: bounded(signal) }),
    ready: (peer) => links.ready(peer),
    prefetch: (wanted) => prefetches.add(wanted),
    changed(digest) {
      inventory.changed(digest)
      preparations.add(digest)
    },
    status: () => ({
      transfers: transfers.list().map(({ state }) => progressOf(state)),
      peers: [...new Set([...traffic.peers(), ...faults.peers()])].map((peer) => ({
        peer,
        ...traffic.of(peer),
        faults: faults.of(peer),
      })),
      memoryBytes: memory.used,
    }),
    observe(digest) {
      const transfer = transfers.get(digest)
      return transfer && viewOf(transfer.state, transfer.sources.all())
    },
    async [Symbol.asyncDispose]() {
      acquaintances[Symbol.dispose]()
      await listener?.[Symbol.asyncDispose]()
      await background[Symbol.asyncDispose]()
      await inventory[Symbol.asyncDispose]()
    },
  }
}

/** What is in one of them, as if both were one. */
function either(first: Stored, second: Stored): Stored {
  return {
    stat: async (digest) => (await first.stat(digest)) ?? (await second.stat(digest)),
    open: async (digest, options) =>
      (await first.open(digest, options)) ?? (await second.open(digest, options)),
  }
}

function bucket(bytesPerSecond: number | undefined, clock: Clock): { budget?: TokenBucket } {
  if (bytesPerSecond === undefined) return {}
  return { budget: new TokenBucket({ bytesPerSecond, nowMs: clock.now() }) }
}
