/** How much of the disk a data directory takes: walked now and then, and counted on from there. */
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, type Logger, logFailure, SingleFlight } from '../../base/base.ts'
import { orMissing } from '../files/blob-files.ts'
import type { DiskLimit } from '../files/disk-space.ts'
import type { OwnedWork } from '../links/owned-work.ts'

export interface FillOptions {
  maxBytes: number
  /** Walks all of it. */
  measure(signal: AbortSignal): Promise<number>
  /** What runs in it ends with the store. */
  work: OwnedWork
  clock: Clock
  logger: Logger
}

const leastPauseMs = 60_000
/** Walking takes a hundredth of the time at most. */
const pauseFactor = 100

export class Fill implements DiskLimit {
  readonly maxBytes: number
  readonly #options: FillOptions
  readonly #walks = new SingleFlight<void>()
  #bytes: number | undefined
  /** Written since the walk under way began: it may have passed by. */
  #addedSince = 0
  #nextMs = 0

  constructor(options: FillOptions) {
    this.#options = options
    this.maxBytes = options.maxBytes
  }

  /** As it was counted last, with what changed since; 0 before the first walk. */
  get filledBytes(): number {
    return this.#bytes ?? 0
  }

  /** Waits for the first walk, and for no other. */
  async look(): Promise<void> {
    if (this.#bytes === undefined) await this.#walk()
    else if (this.#options.clock.now() >= this.#nextMs)
      this.#walk().catch((error: unknown) =>
        logFailure(this.#options.logger, error, 'what the data directory takes could not be counted'),
      )
  }

  add(bytes: number): void {
    this.#addedSince += bytes
    if (this.#bytes !== undefined) this.#bytes += bytes
  }

  remove(bytes: number): void {
    if (this.#bytes !== undefined) this.#bytes = Math.max(0, this.#bytes - bytes)
  }

  #walk(): Promise<void> {
    const { measure, work, clock } = this.#options
    return this.#walks.run('', async () => {
      const beganMs = clock.now()
      this.#addedSince = 0
      try {
        const walked = await work.run(undefined, measure)
        // Rather too much than too little: what was removed meanwhile the next walk misses.
        this.#bytes = walked + this.#addedSince
      } finally {
        const tookMs = clock.now() - beganMs
        this.#nextMs = clock.now() + Math.max(leastPauseMs, pauseFactor * tookMs)
      }
    })
  }
}

const blockBytes = 512

/** What a file is renamed from when it becomes a blob: walked before blobs are, so that none is passed by. */
const waysIn = ['uploads', 'partials']

/** What all of a data directory takes of the disk. */
export async function dataBytes(directory: string, signal: AbortSignal): Promise<number> {
  let bytes = 0
  for (const name of waysIn) bytes += await folderBytes(join(directory, name), signal)
  return bytes + (await folderBytes(directory, signal, new Set(waysIn)))
}

/** What goes away meanwhile counts as nothing. */
async function folderBytes(
  path: string,
  signal: AbortSignal,
  without: ReadonlySet<string> = new Set(),
): Promise<number> {
  let bytes = 0
  const folder = await orMissing(opendir(path))
  if (folder === undefined) return 0
  for await (const entry of folder) {
    signal.throwIfAborted()
    if (without.has(entry.name)) continue
    const inside = join(path, entry.name)
    if (entry.isDirectory()) bytes += await folderBytes(inside, signal)
    else if (entry.isFile()) bytes += ((await orMissing(lstat(inside)))?.blocks ?? 0) * blockBytes
  }
  return bytes
}
