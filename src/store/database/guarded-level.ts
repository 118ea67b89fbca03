/**
 * LevelDB's methods as its owner has them: reads wait or are refused as it says, what they throw is judged before it is passed on,
 * and all writes come to one place.
 */
import {
  type Bytes,
  cutOff,
  Engine,
  gatheringBatch,
  type Operation,
  type Resource,
  raw,
  watchIterator,
} from './level-engine.ts'

const clearedAtOnce = 1_000

export abstract class GuardedLevel extends Engine {
  /** Iterators and snapshots: they end when the database is closed, also in between. */
  readonly #readers = new Set<Resource>()

  /** Resolves once it can be read. */
  protected abstract readable(): Promise<void>
  /** Throws unless it can be read now. */
  protected abstract checkReadable(): void
  /** What to throw for what a read threw. */
  protected abstract readFault(error: unknown): unknown
  protected abstract write(operations: Operation[], sync: boolean): Promise<void>

  override async _get(key: Bytes, options: object): Promise<unknown> {
    await this.readable()
    return await this.#watched(super._get(key, options))
  }

  override _getSync(key: Bytes, options: object): unknown {
    this.checkReadable()
    try {
      return super._getSync(key, options)
    } catch (error) {
      throw this.readFault(error)
    }
  }

  override async _getMany(keys: Bytes[], options: object): Promise<unknown[]> {
    await this.readable()
    return await this.#watched(super._getMany(keys, options))
  }

  override async _has(key: Bytes, options: object): Promise<boolean> {
    await this.readable()
    return await this.#watched(super._has(key, options))
  }

  override async _hasMany(keys: Bytes[], options: object): Promise<boolean[]> {
    await this.readable()
    return await this.#watched(super._hasMany(keys, options))
  }

  override _iterator(options: object): unknown {
    this.checkReadable()
    return watchIterator(super._iterator(options), (error) => this.readFault(error))
  }

  /** Refused before abstract-level makes one: what it made half stays among the readers, and cannot be closed. */
  override _keys(options: object): unknown {
    this.checkReadable()
    return super._keys(options)
  }

  override _values(options: object): unknown {
    this.checkReadable()
    return super._values(options)
  }

  override _snapshot(options: object): unknown {
    this.checkReadable()
    return super._snapshot(options)
  }

  override async _put(key: Bytes, value: Bytes, { sync = false }: { sync?: boolean }): Promise<void> {
    await this.write([{ type: 'put', key, value }], sync)
  }

  override async _del(key: Bytes, { sync = false }: { sync?: boolean }): Promise<void> {
    await this.write([{ type: 'del', key }], sync)
  }

  override async _batch(operations: Operation[], { sync = false }: { sync?: boolean }): Promise<void> {
    await this.write(operations, sync)
  }

  override async _clear(options: object): Promise<void> {
    await using keys = this.keys(options)
    for (let some = await keys.nextv(clearedAtOnce); some.length > 0; some = await keys.nextv(clearedAtOnce))
      await this.write(
        some.map((key) => ({ type: 'del', key })),
        false,
      )
  }

  override _chainedBatch(): unknown {
    return gatheringBatch.call(this)
  }

  override attachResource(resource: Resource): void {
    super.attachResource(resource)
    // Sublevels and batches hold nothing of LevelDB's.
    if (!('put' in resource)) this.#readers.add(resource)
  }

  override detachResource(resource: Resource): void {
    super.detachResource(resource)
    this.#readers.delete(resource)
  }

  /** For its owner, in whatever state it is. */
  protected async readRaw(keys: Bytes[]): Promise<(Uint8Array | undefined)[]> {
    return (await super._getMany(keys, raw)) as (Uint8Array | undefined)[]
  }

  protected async writeRaw(operations: Operation[], sync: boolean): Promise<void> {
    await super._batch(operations, { sync })
  }

  /** Before it is closed under its readers. */
  protected async cutOffReaders(why: Error): Promise<void> {
    await Promise.all([...this.#readers].map((reader) => cutOff(reader, why)))
  }

  async #watched<T>(reading: Promise<T>): Promise<T> {
    try {
      return await reading
    } catch (error) {
      throw this.readFault(error)
    }
  }
}
