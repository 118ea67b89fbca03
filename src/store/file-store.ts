/** The store over a data directory: puts the parts together, mends what a crash left, and closes in order. */
import { readFile } from 'node:fs/promises'
import {
  type Clock,
  Keyed,
  type Logger,
  logFailure,
  type Metrics,
  noMetrics,
  Semaphore,
  silentLogger,
  steadyClock,
} from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import { Census } from './blobs/census.ts'
import { CheckedBlobs } from './blobs/checked-blobs.ts'
import { Scrub } from './blobs/scrub.ts'
import { SoundFiles } from './blobs/sound-files.ts'
import { SumTable } from './blobs/sum-table.ts'
import { Unreadable } from './blobs/unreadable.ts'
import { type Quarantined, Verifier } from './blobs/verifier.ts'
import { type Database, openTables } from './database/database.ts'
import { BlobFiles } from './files/blob-files.ts'
import { DiskSpace, diskUsage } from './files/disk-space.ts'
import { openPlain, type PlainFile } from './files/plain-file.ts'
import { ReadBuffers } from './files/read-buffers.ts'
import type { CopyOptions } from './ingest/ingest.ts'
import { IngestPool } from './ingest/ingest-pool.ts'
import { Publisher } from './ingest/publisher.ts'
import { Claims } from './links/claims.ts'
import { Collector } from './links/collector.ts'
import { keepTime, openLeases, saveTime } from './links/leases.ts'
import { LinkTable, openRecentLinks, type TableContext } from './links/link-table.ts'
import { ManifestTable } from './links/manifest-table.ts'
import { OwnedWork } from './links/owned-work.ts'
import type { Partials } from './partials/partial.ts'
import { PartialFiles } from './partials/partial-files.ts'
import { PiecePool } from './partials/piece-pool.ts'
import { Evictor } from './room/evictor.ts'
import { dataBytes, Fill } from './room/fill.ts'
import { LastUses } from './room/last-uses.ts'
import { type Room, RoomKeeper } from './room/room.ts'
import type { Blobs, Store } from './store.ts'
import { UploadSessions } from './uploads/upload-sessions.ts'

export interface StoreOptions {
  /** The data directory: `blobs/`, `uploads/` and `quarantine/` are made in it. */
  directory: string
  /** Opened by `openDatabase`, closed by whoever opened it after the store. The store keeps to the sublevel `store`. */
  database: Database
  metrics?: Metrics
  logger?: Logger
  clock?: Clock
  /** Default 1 TiB. */
  maxBlobBytes?: number
  /** Upload sessions at once, default 1000. */
  maxSessions?: number
  /** Room that uploads and manifests leave free on the disk; default 256 MiB. */
  minFreeBytes?: number
  /** What the data directory may take of the disk; absent for all but `minFreeBytes`. */
  maxDiskBytes?: number | undefined
  /** The grace time that `collect` will be called with: leases are renewed once a quarter of it has passed. Default an hour. */
  graceMs?: number
  /** What names this run of the host; default as the kernel says. */
  boot?: string | undefined
  /** Threads that hash and write; default 2. */
  workers?: number
  /** Memory for reading blobs, all readers together; default 32 MiB. */
  readBytes?: number
  /** Memory for bytes on their way to the disk, all uploads together; default 32 MiB. */
  ingestBytes?: number
  /** What the kernel is counted on to have kept in memory of a part that was just written; default 256 MiB. */
  freshBytes?: number
}

/** A store on a disk, where blobs can also arrive piece by piece. */
export interface FileStore extends Store {
  readonly partials: Partials
  readonly room: Room
  /** Of blobs and manifests, those of which the hash begins with these two digits. */
  listShard(shard: string, options?: { signal?: AbortSignal }): AsyncIterable<Digest>
  /** Lets go of memory that is kept for the next readers; false while blobs are read, come in or are on their way. */
  rest(): boolean
  /**
   * The SHA-256 of each piece of a part of a blob, one after the other; every piece has `pieceBytes` but the last. It begins
   * and ends at multiples of 256 KiB, or at the blob's end. Throws BlobRottenError for bytes that are not those that were stored.
   */
  hashPieces(digest: Digest, part: { pieceBytes: number; start: number; end: number }): Promise<Uint8Array>
  /** Pieces are about to come, or to be hashed: their thread takes a while to start. */
  readyPieces(): void
  /**
   * Puts a blob into the store that is a plain file of this host, as `blobs.write` does. False where this node cannot read it, or it
   * has another size. `onBytes` hears of each part that is here.
   */
  copyFile(digest: Digest, from: PlainFile, options?: Partial<CopyOptions>): Promise<boolean>
  /** Hashes one blob again; false when it was wrong, and is in quarantine now, or was not here. */
  verifyBlob(digest: Digest): Promise<boolean>
  /** Calls `listener` with each blob whose bytes the disk did not give, once for each read. Returns the unsubscriber. */
  onUnreadable(listener: (digest: Digest) => void): () => void
  /** Moves a blob out of the way so that another copy can come; `undefined` when it is not here, or is written just now. */
  setAside(digest: Digest): Promise<string | undefined>
  /** What was set aside, also before a restart, and is not here again. */
  listAside(): Promise<{ digest: Digest; path: string }[]>
  /** True once a blob that was set aside is here again: another copy, or the file itself, which turned out to be right. */
  takeBack(digest: Digest, path: string): Promise<boolean>
  /** Reads everything again within a set time, when somebody runs it. */
  readonly scrub: Pick<Scrub, 'run' | 'status'>
  /** Calls `listener` with whatever turns out to be wrong, however that was found. Returns the unsubscriber. */
  onQuarantined(listener: (quarantined: Quarantined) => void): () => void
}

/** Until the host starts again; `undefined` where the kernel does not tell. */
async function readBoot(): Promise<string | undefined> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined
    throw error
  }
}

/** Opens the store of a directory; what the last run left is mended in the background. */
export async function openStore(options: StoreOptions): Promise<FileStore> {
  const { directory, database, logger = silentLogger, clock = steadyClock, metrics = noMetrics } = options
  const { maxBlobBytes = 2 ** 40, maxSessions = 1000, minFreeBytes = 256 * 2 ** 20 } = options
  const work = new OwnedWork()
  const fill =
    options.maxDiskBytes === undefined
      ? undefined
      : new Fill({
          maxBytes: options.maxDiskBytes,
          measure: (signal) => dataBytes(directory, signal),
          work,
          clock,
          logger,
        })
  const files = new BlobFiles(directory, { onFreed: (bytes) => fill?.remove(bytes) })
  await files.prepare()
  const space = new DiskSpace(directory, minFreeBytes, {
    logger,
    clock,
    limit: fill,
    makeRoom: (missing) => room.make(missing),
    onTaken: () => room.noteTaken(),
  })
  const tables = openTables(database)
  const leases = await openLeases(tables, { clock, graceMs: options.graceMs ?? 3_600_000, logger })
  const context: TableContext = {
    database,
    tables,
    turns: new Keyed(),
    claims: new Claims(),
    leases,
    recent: openRecentLinks(),
  }
  const buffers = new ReadBuffers(options.readBytes ?? 32 * 2 ** 20)
  await using opened = new AsyncDisposableStack()
  opened.defer(() => saveTime(tables, leases, logger))
  const forget = (): void => context.recent.clear()
  database.reopenListeners.add(forget)
  opened.defer(() => void database.reopenListeners.delete(forget))
  const pool = opened.use(
    new IngestPool({
      threads: options.workers ?? 2,
      budgetBytes: options.ingestBytes,
      space,
      clock: steadyClock,
      logger,
    }),
  )
  const sums = new SumTable(context.tables)
  const publisher = new Publisher({ files, pool, claims: context.claims, leases, space, sums })
  const uploads = opened.use(
    new UploadSessions(context, publisher, { maxBlobBytes, maxSessions, maxOpen: 32 }),
  )
  await uploads.load()
  opened.use(work)
  // Listed before anything can be written, so that only the last run's files are in it.
  const leftovers = (await files.listUploads()).filter((id) => !uploads.has(id))
  work
    .run(undefined, (signal) => mend(files, leftovers, signal))
    .catch((error: unknown) => logFailure(logger, error, 'leftover uploads could not be removed'))
  work
    .run(undefined, (signal) => keepTime({ tables, leases, clock, logger }, signal))
    .catch((error: unknown) => logFailure(logger, error, 'the time of the leases is not written any more'))
  const pieces = opened.use(new PiecePool({ clock: steadyClock, logger }))
  const { freshBytes, boot = await readBoot() } = options
  const partials = new PartialFiles({ context, files, pool: pieces, space, buffers, sums, freshBytes, boot })
  const uses = new LastUses(context)
  const evictor = new Evictor({ context, files, partials, uses, work, clock, logger, metrics })
  const reserveBytes = Math.max(0, minFreeBytes)
  const left = (): Promise<number> => space.left()
  const room = new RoomKeeper({ tables, evictor, uses, fill, reserveBytes, left, work, clock, logger })
  // Before the work that notes them is stopped, and after all who read.
  opened.defer(() => uses.flush())
  const census = new Census({ list: (signal) => listBlobs(files, signal), work, clock, logger })
  metrics.gauge('shoal_store_blobs', () => census.totals()?.blobs)
  metrics.gauge('shoal_store_blob_bytes', () => census.totals()?.bytes)
  metrics.gauge('shoal_disk_size_bytes', async () => (await diskUsage(directory)).sizeBytes)
  metrics.gauge('shoal_disk_free_bytes', async () => (await diskUsage(directory)).freeBytes)
  metrics.gauge('shoal_disk_reserve_bytes', () => minFreeBytes)
  metrics.gauge('shoal_store_upload_sessions', () => uploads.size)
  metrics.gauge('shoal_store_read_buffer_bytes', () => buffers.bytes)
  metrics.gauge('shoal_room_limit_bytes', () => fill?.maxBytes)
  metrics.gauge('shoal_room_filled_bytes', () => room.status().limit?.filledBytes)
  metrics.gauge('shoal_room_high_mark_bytes', () => room.status().limit?.highBytes)
  const collector = new Collector(context, files, metrics)
  const sound = new SoundFiles(leases)
  const verifier = new Verifier({ context, files, pool, sums, sound, logger, metrics })
  const verifying = new Semaphore(pool.size)
  const verifyBlob = (digest: Digest): Promise<boolean> =>
    work.run(undefined, (signal) => verifying.run(() => verifier.verifyBlob(digest, signal)))
  const unreadable = new Unreadable({ context, files, pool, verifier })
  const checked = new CheckedBlobs({ files, buffers, sums, sound, verify: verifyBlob, unreadable })
  const manifests = new ManifestTable(context, space, { checked, verifier })
  const isBusy = (): boolean => buffers.readers > 0 || pool.isBusy
  const scrub = new Scrub({ context, files, sums, verifier, unreadable, clock, isBusy, logger, metrics })
  const resources = opened.move()
  return {
    blobs: fileBlobs({ files, checked, publisher, uses, maxBytes: maxBlobBytes, work }),
    room,
    async *listShard(shard, { signal } = {}) {
      for (const digest of await files.listShard(shard)) {
        signal?.throwIfAborted()
        yield digest
      }
      yield* manifests.listShard(shard)
    },
    rest() {
      if (isBusy() || pieces.isBusy) return false
      buffers.rest()
      return true
    },
    uploads,
    manifests,
    links: new LinkTable(context),
    hold: (digests, run) => context.claims.hold(digests, run),
    partials,
    // Hashes of rotten bytes would be vouched for.
    hashPieces: (digest, part) =>
      checked.made(digest, part, async () => {
        const { hashes, sums } = await pieces.hashPieces(files.blobPath(digest), part)
        return { value: hashes, sums }
      }),
    readyPieces: () => pieces.ready(),
    copyFile: (digest, { path, size }, { signal, onBytes = () => undefined } = {}) =>
      work.run(signal, async (either) => {
        await using from = size > maxBlobBytes ? undefined : await openPlain(path, size)
        if (from === undefined) return false
        await publisher.copy(digest, from.fd, size, { signal: either, onBytes })
        return true
      }),
    verifyBlob,
    onUnreadable(listener) {
      unreadable.listeners.add(listener)
      return () => unreadable.listeners.delete(listener)
    },
    isUnread: (digest) => unreadable.isAside(digest),
    setAside: (digest) => unreadable.setAside(digest),
    listAside: () => unreadable.listAside(),
    takeBack: (digest, path) => work.run(undefined, () => unreadable.takeBack(digest, path)),
    scrub: {
      status: () => scrub.status(),
      run: (run) => work.run(run.signal, (signal) => scrub.run({ ...run, signal })),
    },
    onQuarantined(listener) {
      verifier.listeners.add(listener)
      return () => verifier.listeners.delete(listener)
    },
    collect: (collect) => work.run(collect.signal, (signal) => collector.collect({ ...collect, signal })),
    verify: (verify) => work.run(verify?.signal, (signal) => verifier.verify({ ...verify, signal })),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

interface FileBlobsOptions {
  files: BlobFiles
  checked: CheckedBlobs
  publisher: Publisher
  uses: LastUses
  maxBytes: number
  work: OwnedWork
}

function fileBlobs({ files, checked, publisher, uses, maxBytes, work }: FileBlobsOptions): Blobs {
  return {
    stat: (digest) => checked.stat(digest),
    async open(digest, options) {
      const blob = await checked.open(digest, options)
      // Nobody waits for a disk while it is read.
      if (blob?.bytes !== undefined) {
        uses.note(digest)
        return blob
      }
      return blob && { ...blob, chunks: (...wanted) => uses.during(digest, blob.chunks(...wanted)) }
    },
    list: (options) => listBlobs(files, options?.signal),
    write: (digest, body, options = {}) =>
      work.run(options.signal, (signal) => publisher.write(digest, body, maxBytes, { ...options, signal })),
  }
}

/** One at a time, each costs half as much again; more would keep who reads waiting for the thread pool. */
const statsAtOnce = 16

async function* listBlobs(
  files: BlobFiles,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ digest: Digest; size: number }> {
  const sized = async (digests: Digest[]) => {
    signal?.throwIfAborted()
    const found = await Promise.all(digests.map((digest) => files.stat(digest)))
    return digests.flatMap((digest, index) => {
      const size = found[index]?.size
      return size === undefined ? [] : { digest, size }
    })
  }
  let unsized: Digest[] = []
  for await (const digest of files.list()) {
    if (unsized.push(digest) < statsAtOnce) continue
    yield* await sized(unsized)
    unsized = []
  }
  yield* await sized(unsized)
}

/** Removes the files of uploads that have no session: whole writes that were cut off, and sessions that ended. */
async function mend(files: BlobFiles, leftovers: string[], signal: AbortSignal): Promise<void> {
  for (const id of leftovers) {
    if (signal.aborted) return
    await files.removeUpload(id)
  }
}
