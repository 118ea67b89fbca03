/**
 * LevelDB behind its one owner. All writes go through one queue, and after one that failed nothing is written, and so
 * nothing acknowledged, until the database was closed, opened again, and found to hold the last acknowledged write.
 *
 * LevelDB 1.20 goes on after a failed append at a block offset that the file does not have (`db/log_writer.cc`,
 * `EmitPhysicalRecord`): it acknowledges what it writes from then on, and recovery drops it as corrupt.
 *
 * A block that a disk changed fails every read that needs it, and every write once a compaction has met it. So it is cut out
 * while the database is closed, and its rows count as missing.
 */
import { Background, type Clock, type Logger, type Metrics } from '../base/base.ts'
import { syncFolder } from './blob-files.ts'
import { asStoreError, diskUsage } from './disk-space.ts'
import { DatabaseFaultError, StoreFullError } from './errors.ts'
import {
  type Bytes,
  cutOff,
  droppedIn,
  Engine,
  gatheringBatch,
  isDamage,
  type Operation,
  type Resource,
  raw,
  watchIterator,
} from './level-engine.ts'
import { type CutTable, cutDamage, Damage, findDamage, listTables, TableDamagedError } from './table-files.ts'
import { WriteQueue } from './write-queue.ts'

export interface SoundLevelOptions {
  logger: Logger
  metrics: Metrics
  clock: Clock
  /** Room that opening it again takes at most: two full write buffers as tables, and some. */
  reopenBytes: number
}

type State =
  | { name: 'sound' }
  /**
   * A write failed, or a read met damage. What else is stored can be read; `before` is what stood where the failed write may
   * have come through.
   */
  | { name: 'faulty'; fault: unknown; before: Operation[] }
  /** Closed and on its way back: readers wait. */
  | { name: 'reopening'; fault: unknown; opened: Promise<void> }
  /** It could not be opened again, so nothing can be read either. */
  | { name: 'shut'; fault: unknown; before: Operation[] }
  /** Opened again, it lacks what was acknowledged. */
  | { name: 'lost'; fault: unknown }

/** Goes up with each write, in the same batch: whether it is there says whether the write is. */
const counterKey = Buffer.from('writes')
const clearedAtOnce = 1_000
const retryMs = 1_000
/** No table takes longer to be written. */
const writtenMs = 5_000

export class SoundLevel extends Engine {
  readonly #options: SoundLevelOptions
  readonly #queue = new WriteQueue()
  readonly #background: Background
  /** Iterators and snapshots: they end when the database is closed, also in between. */
  readonly #readers = new Set<Resource>()
  #openOptions: object = {}
  #state: State = { name: 'sound' }
  /** Of the last acknowledged write. */
  #counter = 0
  #writing: Promise<void> | undefined
  /** Why it could not be opened again when that was tried last. */
  #obstacle: string | undefined
  /** What was cut out of it. */
  readonly damage: Damage

  constructor(location: string, options: SoundLevelOptions) {
    super(location)
    this.#options = options
    this.#background = new Background('the database', options.logger)
    this.damage = new Damage(location, options)
  }

  /** Why nothing can be written now. */
  problem(): string | undefined {
    return this.#state.name === 'sound' ? undefined : this.#refusal(this.#state).message
  }

  /** Everything that was written before survives a power cut when this resolves. */
  async sync(): Promise<void> {
    await this.#write([], true)
  }

  override async _open(options: object): Promise<void> {
    this.#openOptions = options
    await this.#openEngine()
    try {
      this.#counter = (await this.#readCounter()) ?? 0
    } catch (error) {
      if (!isDamage(error)) throw error
      await super._close()
      const cut = await this.#cutDamage()
      await this.#openEngine()
      this.#counter = (await this.#readCounter()) ?? 0
      await this.damage.tell(cut)
    }
  }

  override async _close(): Promise<void> {
    await this.#writing
    await this.#background[Symbol.asyncDispose]()
    if (this.#state.name !== 'shut') await super._close()
  }

  override async _get(key: Bytes, options: object): Promise<unknown> {
    await this.#readable()
    return await this.#watched(super._get(key, options))
  }

  override _getSync(key: Bytes, options: object): unknown {
    this.#checkReadable()
    try {
      return super._getSync(key, options)
    } catch (error) {
      throw this.#readFault(error)
    }
  }

  override async _getMany(keys: Bytes[], options: object): Promise<unknown[]> {
    await this.#readable()
    return await this.#watched(super._getMany(keys, options))
  }

  override async _has(key: Bytes, options: object): Promise<boolean> {
    await this.#readable()
    return await this.#watched(super._has(key, options))
  }

  override async _hasMany(keys: Bytes[], options: object): Promise<boolean[]> {
    await this.#readable()
    return await this.#watched(super._hasMany(keys, options))
  }

  override _iterator(options: object): unknown {
    this.#checkReadable()
    return watchIterator(super._iterator(options), (error) => this.#readFault(error))
  }

  override _snapshot(options: object): unknown {
    this.#checkReadable()
    return super._snapshot(options)
  }

  override async _put(key: Bytes, value: Bytes, { sync = false }: { sync?: boolean }): Promise<void> {
    await this.#write([{ type: 'put', key, value }], sync)
  }

  override async _del(key: Bytes, { sync = false }: { sync?: boolean }): Promise<void> {
    await this.#write([{ type: 'del', key }], sync)
  }

  override async _batch(operations: Operation[], { sync = false }: { sync?: boolean }): Promise<void> {
    await this.#write(operations, sync)
  }

  override async _clear(options: object): Promise<void> {
    await using keys = this.keys(options)
    for (let some = await keys.nextv(clearedAtOnce); some.length > 0; some = await keys.nextv(clearedAtOnce))
      await this.#write(
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

  async #write(operations: Operation[], sync: boolean): Promise<void> {
    if (this.#state.name !== 'sound') throw this.#refusal(this.#state)
    const written = this.#queue.add(operations, sync)
    this.#writing ??= this.#writeAll()
    await written
  }

  async #writeAll(): Promise<void> {
    for (let group = this.#queue.next(); group !== undefined; group = this.#queue.next()) {
      try {
        await this.#append(group.operations, group.sync)
      } catch (error) {
        const fault = faultOf(error)
        await this.#noteFault(fault, group.operations)
        group.reject(fault)
        this.#queue.reject(fault)
        break
      }
      group.resolve()
      // A read has met damage meanwhile.
      if (this.#state.name !== 'sound') this.#queue.reject(this.#refusal(this.#state))
    }
    this.#writing = undefined
  }

  async #append(operations: Operation[], sync: boolean): Promise<void> {
    const counter = this.#counter + 1
    await super._batch([...operations, { type: 'put', key: counterKey, value: String(counter) }], { sync })
    this.#counter = counter
  }

  /** The failed write may be found when the log is read again, though its writers are told that it failed. */
  async #noteFault(fault: unknown, operations: Operation[]): Promise<void> {
    const { logger, metrics } = this.#options
    metrics.count('shoal_database_faults_total')
    const level = fault instanceof StoreFullError ? 'warn' : 'error'
    logger[level](
      { err: fault },
      'a write to the database failed; it takes no more until it was opened again',
    )
    try {
      // Where a compaction met damage nothing was appended.
      const before = isDamage(fault) ? [] : await this.#readBefore(operations)
      this.#state = { name: 'faulty', fault, before }
    } catch (error) {
      logger.error({ err: error }, 'the database cannot be read either; restart the node once its disk works')
      this.#state = { name: 'lost', fault }
      return
    }
    this.#background.start('open the database again', (signal) => this.#mend(signal))
  }

  /** Reads all of its tables and compares their sums, as LevelDB does not; what is damaged is cut out. */
  async check({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const { clock } = this.#options
    for (const name of await listTables(this.location)) {
      await clock.sleep(0, signal === undefined ? {} : { signal })
      const found = await findDamage(this.location, name)
      if (found === undefined) continue
      // A compaction may just be writing it.
      await clock.sleep(writtenMs, signal === undefined ? {} : { signal })
      const again = await findDamage(this.location, name)
      if (again === undefined || again.length !== found.length) continue
      this.#readFault(new TableDamagedError(`${name} is not what was written`))
      return
    }
  }

  async #watched<T>(reading: Promise<T>): Promise<T> {
    try {
      return await reading
    } catch (error) {
      throw this.#readFault(error)
    }
  }

  /** What to throw for what a read threw. After damage the database is mended by itself. */
  #readFault(error: unknown): unknown {
    if (!isDamage(error)) return error
    const { logger, metrics } = this.#options
    const fault = faultOf(error)
    if (this.#state.name === 'sound') {
      metrics.count('shoal_database_faults_total')
      logger.error(
        { err: fault },
        'the disk changed what the database reads; what is damaged is cut out of it',
      )
      this.#state = { name: 'faulty', fault, before: [] }
      this.#background.start('mend the database', (signal) => this.#mend(signal))
    }
    return fault
  }

  async #readBefore(operations: Operation[]): Promise<Operation[]> {
    const keys = [...operations.map(({ key }) => Buffer.from(key)), counterKey]
    const values = (await super._getMany(keys, raw)) as (Uint8Array | undefined)[]
    return keys.map((key, index) => {
      const value = values[index]
      return value === undefined ? { type: 'del', key } : { type: 'put', key, value }
    })
  }

  /** Tries until it is sound again, or closed. */
  async #mend(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    while (!signal.aborted && (this.#state.name === 'faulty' || this.#state.name === 'shut')) {
      try {
        await this.#writing
        await this.#checkRoom()
        await this.#reopen(this.#state)
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        const isNews = why !== this.#obstacle
        this.#obstacle = why
        if (isNews) logger.warn({ err: error }, 'the database cannot be opened again yet')
        await clock.sleep(retryMs, { signal })
      }
    }
  }

  /** While it is only faulty it can be read: it is not closed before there is room to open it again. */
  async #checkRoom(): Promise<void> {
    const { reopenBytes } = this.#options
    const { freeBytes } = await diskUsage(this.location)
    if (freeBytes < reopenBytes)
      throw new StoreFullError(
        `the disk of ${this.location} has ${freeBytes} bytes left; opening the database again may take ${reopenBytes}`,
      )
  }

  async #reopen(state: Extract<State, { name: 'faulty' | 'shut' }>): Promise<void> {
    const { fault, before } = state
    const opened = Promise.withResolvers<void>()
    const cut: CutTable[] = []
    this.#state = { name: 'reopening', fault, opened: opened.promise }
    const reading = unreadable(fault)
    try {
      if (state.name === 'faulty') {
        await Promise.all([...this.#readers].map((reader) => cutOff(reader, reading)))
        await super._close()
      }
      if (isDamage(fault)) cut.push(...(await this.#cutDamage()))
      await this.#openEngine()
    } catch (error) {
      this.#state = { name: 'shut', fault, before }
      throw error
    } finally {
      opened.resolve()
    }
    this.#state = { name: 'faulty', fault, before }
    const found = (await this.#readCounter()) ?? 0
    // The failed write may have come through; what was acknowledged before it has to have.
    if (!isDamage(fault) && found !== this.#counter && found !== this.#counter + 1) {
      this.#options.logger.error(
        { acknowledged: this.#counter, found },
        'the database lacks what it had acknowledged; stop the node, and restore its data or let it join anew',
      )
      this.#state = { name: 'lost', fault }
      return
    }
    // What failed is undone, so that it does not show what this process holds for not written.
    const counter: Operation = { type: 'put', key: counterKey, value: String(this.#counter) }
    await super._batch([...before, ...(isDamage(fault) ? [counter] : [])], { sync: true })
    this.#state = { name: 'sound' }
    this.#obstacle = undefined
    this.#options.logger.info({ writes: this.#counter }, 'the database was opened again and takes writes')
    await this.damage.tell(cut)
  }

  #cutDamage(): Promise<CutTable[]> {
    return cutDamage(this.location, Math.floor(this.#options.clock.now()))
  }

  async #openEngine(): Promise<void> {
    await super._open(this.#openOptions)
    // LevelDB renames its CURRENT without syncing the folder.
    await syncFolder(this.location)
    for (const line of await droppedIn(this.location))
      this.#options.logger.error({ line }, 'the database dropped what it could not read of its log')
  }

  async #readCounter(): Promise<number | undefined> {
    const value = (await super._get(counterKey, raw)) as Uint8Array | undefined
    return value === undefined ? undefined : Number(Buffer.from(value).toString())
  }

  async #readable(): Promise<void> {
    if (this.#state.name === 'reopening') await this.#state.opened
    if (this.#state.name === 'shut') throw unreadable(this.#state.fault)
  }

  #checkReadable(): void {
    if (this.#state.name === 'reopening' || this.#state.name === 'shut') throw unreadable(this.#state.fault)
  }

  #refusal({ name, fault }: Exclude<State, { name: 'sound' }>): DatabaseFaultError | StoreFullError {
    const why = fault instanceof Error ? fault.message : String(fault)
    if (name === 'lost')
      return new DatabaseFaultError(`the database lost what it had acknowledged, after: ${why}`, {
        cause: fault,
      })
    const when = this.#obstacle === undefined ? 'at once' : `as soon as it can be (${this.#obstacle})`
    const message = `a write to the database failed (${why}); it is opened again ${when}, and takes nothing until then`
    return fault instanceof StoreFullError
      ? new StoreFullError(message, { cause: fault })
      : new DatabaseFaultError(message, { cause: fault })
  }
}

/** Who reads is told of the database, be it for want of room that it is opened again. */
function unreadable(fault: unknown): DatabaseFaultError {
  return new DatabaseFaultError('the database is being opened again, as a write to it failed', {
    cause: fault,
  })
}

function faultOf(error: unknown): unknown {
  const known = asStoreError(error)
  return known instanceof StoreFullError
    ? known
    : new DatabaseFaultError(error instanceof Error ? error.message : String(error), { cause: error })
}
