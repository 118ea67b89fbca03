/** What this node can serve, whole or in part, and the news of it: the store's blobs and the transfers under way as one. */
import type { Digest, Repository } from '../../oci/oci.ts'
import type { Blobs, OpenBlob } from '../../store/store.ts'
import { BlobUnavailableError } from '../errors.ts'
import { Bitfield } from '../protocol/bitfield.ts'
import type { PieceHashes } from '../protocol/piece-hashes.ts'
import { layoutOf } from '../protocol/piece-size.ts'
import type { Wanted } from '../protocol/wanted.ts'

/** A part of a blob, as its transfer has it. */
export interface PartialItem {
  readonly list: PieceHashes
  /** Live. */
  readonly held: Bitfield
  /** On whose behalf a member let this node have it. */
  readonly repositories: ReadonlySet<Repository>
  /** Whether this node fetches it from its origin now. */
  readonly isOrigin: boolean
  chunks(start: number, end: number, options?: { signal?: AbortSignal }): AsyncIterable<Uint8Array>
}

export interface InventoryItem {
  readonly size: number
  readonly complete: boolean
  /** Live; one and the same for all who ask, until the item ends. */
  readonly held: Bitfield
  readonly isOrigin: boolean
}

export type InventoryNews =
  | { type: 'piece'; piece: number }
  | { type: 'lost'; piece: number }
  /** Something other than before is here: ask `find` again. */
  | { type: 'changed' }

export interface InventoryOptions {
  blobs: Pick<Blobs, 'open' | 'stat'>
  mayRead(repository: Repository, digest: Digest): Promise<boolean>
}

/** Blobs kept open while nothing of them is being sent. */
const maxOpen = 64

export class Inventory implements AsyncDisposable {
  readonly #options: InventoryOptions
  readonly #partials = new Map<Digest, PartialItem>()
  readonly #watchers = new Map<Digest, Set<(news: InventoryNews) => void>>()
  /** Of complete blobs that someone watches: what is lost of them is lost for all who ask. */
  readonly #complete = new Map<Digest, InventoryItem>()
  readonly #rotten = new Set<Digest>()
  readonly #open: OpenBlobs

  constructor(options: InventoryOptions) {
    this.#options = options
    this.#open = new OpenBlobs(options.blobs)
  }

  async find({ repository, digest }: Wanted): Promise<InventoryItem | undefined> {
    const partial = this.#partials.get(digest)
    if (partial?.repositories.has(repository) !== true) {
      if (!(await this.#options.mayRead(repository, digest))) return undefined
    }
    const current = this.#partials.get(digest)
    if (current !== undefined) {
      return {
        size: current.list.layout.size,
        complete: false,
        held: current.held,
        get isOrigin() {
          return current.isOrigin
        },
      }
    }
    const found = await this.#options.blobs.stat(digest)
    if (found === undefined || this.#rotten.has(digest)) return undefined
    const known = this.#complete.get(digest)
    if (known?.size === found.size) return known
    const held = Bitfield.full(layoutOf(found.size).count)
    const item = { size: found.size, complete: true, held, isOrigin: false }
    if (this.#watchers.has(digest)) this.#complete.set(digest, item)
    return item
  }

  /** The list under which a partial blob is held, `undefined` when it is held whole or not at all. */
  partialList(digest: Digest): PieceHashes | undefined {
    return this.#partials.get(digest)?.list
  }

  /** Bytes of pieces that are held. Throws what the store throws when they are not. */
  async *chunks(digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
    let position = start
    let failure: unknown
    const partial = this.#partials.get(digest)
    if (partial !== undefined) {
      try {
        for await (const chunk of partial.chunks(position, end)) {
          position += chunk.length
          yield chunk
        }
        return
      } catch (error) {
        failure = error
      }
    }
    // A transfer that ended meanwhile has put the blob into the store.
    const isHere = yield* this.#open.chunks(digest, position, end)
    if (!isHere) throw failure ?? new BlobUnavailableError(digest, 'it is not here any more')
    // Nobody is there for whom it would be kept open.
    if (!this.#watchers.has(digest)) this.#open.forget(digest)
  }

  watch(digest: Digest, listener: (news: InventoryNews) => void): () => void {
    const watchers = this.#watchers.get(digest) ?? new Set()
    this.#watchers.set(digest, watchers.add(listener))
    return () => {
      watchers.delete(listener)
      if (watchers.size > 0 || this.#watchers.get(digest) !== watchers) return
      this.#watchers.delete(digest)
      this.#complete.delete(digest)
      this.#open.forget(digest)
    }
  }

  /** A transfer holds a part from now on; its `held` grows with each `gained`. */
  begin(digest: Digest, partial: PartialItem): void {
    this.#partials.set(digest, partial)
    this.#tell(digest, { type: 'changed' })
  }

  gained(digest: Digest, piece: number): void {
    this.#tell(digest, { type: 'piece', piece })
  }

  /** The transfer ended: what is in the store now is all there is. */
  end(digest: Digest, { proven }: { proven: boolean }): void {
    if (proven) this.#rotten.delete(digest)
    if (this.#partials.delete(digest)) this.#tell(digest, { type: 'changed' })
  }

  /** A piece of a blob in the store is not what it was: nothing of that blob is served until it is proven anew. */
  rot(digest: Digest, piece: number): void {
    this.#rotten.add(digest)
    this.#complete.get(digest)?.held.delete(piece)
    this.#tell(digest, { type: 'lost', piece })
    this.#complete.delete(digest)
    this.#open.forget(digest)
    this.#tell(digest, { type: 'changed' })
  }

  /** The store holds something else of it than before: it was stored, mended, or removed. */
  changed(digest: Digest): void {
    this.#rotten.delete(digest)
    this.#open.forget(digest)
    this.#tell(digest, { type: 'changed' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open[Symbol.asyncDispose]()
  }

  #tell(digest: Digest, news: InventoryNews): void {
    for (const listener of [...(this.#watchers.get(digest) ?? [])]) listener(news)
  }
}

interface Entry {
  readonly opening: Promise<OpenBlob | undefined>
  users: number
}

/** Blobs of the store that are being served, kept open between one piece and the next. */
class OpenBlobs implements AsyncDisposable {
  readonly #blobs: Pick<Blobs, 'open'>
  /** In the order of their last use. */
  readonly #kept = new Map<Digest, Entry>()
  readonly #closing = new Set<Promise<void>>()

  constructor(blobs: Pick<Blobs, 'open'>) {
    this.#blobs = blobs
  }

  /** Ends without a chunk, and returns false, when the blob is not here. */
  async *chunks(digest: Digest, start: number, end: number): AsyncGenerator<Uint8Array, boolean, undefined> {
    // Downloaders hash each piece, and complain.
    const opening = (): Promise<OpenBlob | undefined> => this.#blobs.open(digest, { receiverProves: true })
    const entry = this.#kept.get(digest) ?? { opening: opening(), users: 0 }
    this.#kept.delete(digest)
    this.#kept.set(digest, entry)
    entry.users++
    try {
      const blob = await entry.opening
      if (blob !== undefined) yield* blob.chunks(start, end)
      else if (this.#kept.get(digest) === entry) this.#kept.delete(digest)
      return blob !== undefined
    } catch (error) {
      // What cannot be read is looked up again the next time.
      if (this.#kept.get(digest) === entry) this.#kept.delete(digest)
      throw error
    } finally {
      entry.users--
      if (entry.users === 0 && this.#kept.get(digest) !== entry) this.#close(entry)
      this.#trim()
    }
  }

  /** Closes it as soon as nobody reads it. */
  forget(digest: Digest): void {
    const entry = this.#kept.get(digest)
    if (entry === undefined) return
    this.#kept.delete(digest)
    if (entry.users === 0) this.#close(entry)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const digest of [...this.#kept.keys()]) this.forget(digest)
    while (this.#closing.size > 0) await Promise.all(this.#closing)
  }

  #trim(): void {
    let idle = 0
    for (const { users } of this.#kept.values()) if (users === 0) idle++
    for (const [digest, { users }] of this.#kept) {
      if (idle <= maxOpen) return
      if (users > 0) continue
      this.forget(digest)
      idle--
    }
  }

  #close({ opening }: Entry): void {
    const closed = (async () => {
      // One that could not be opened has been thrown to whoever wanted to read it.
      const [blob] = await Promise.allSettled([opening])
      if (blob.status === 'fulfilled') await blob.value?.[Symbol.asyncDispose]()
    })()
    this.#closing.add(closed)
    void closed.finally(() => this.#closing.delete(closed))
  }
}
