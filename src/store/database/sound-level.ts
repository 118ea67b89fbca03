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
import { Background, type Clock, type Logger, type Metrics } from '../../base/base.ts'
import { StoreFullError } from '../errors.ts'
import { syncFolder } from '../files/blob-files.ts'
import { diskUsage } from '../files/disk-space.ts'
import { type CheckOptions, Damage } from './damage.ts'
import { GuardedLevel } from './guarded-level.ts'
import { droppedIn, isDamage, levelSizes, type Operation } from './level-engine.ts'
import { faultOf, type Reopenable, refusalOf, type State, unreadable } from './level-state.ts'
import { TableDamagedError } from './table-files.ts'
import { WriteQueue } from './write-queue.ts'

export interface SoundLevelOptions {
  logger: Logger
  metrics: Metrics
  clock: Clock
  /** Room that opening it again takes at most: two full write buffers as tables, and some. */
  reopenBytes: number
}

/** Goes up with each write, in the same batch: whether it is there says whether the write is. */
const counterKey = Buffer.from('writes')
const retryMs = 1_000
/** A look at all tables that found nothing does not help the next reader, and closes the database for everybody. */
const vainMs = 10 * 60_000

export class SoundLevel extends GuardedLevel {
  readonly #options: SoundLevelOptions
  readonly #queue = new WriteQueue()
  readonly #background: Background
  #openOptions: object = {}
  #state: State = { name: 'sound' }
  /** Of the last acknowledged write. */
  #counter = 0
  #writing: Promise<void> | undefined
  #isMending = false
  /** Until then what a read calls damage is not looked for again. */
  #vainUntilMs = Number.NEGATIVE_INFINITY
  /** Why it could not be opened again when that was tried last. */
  #obstacle: string | undefined
  /** What was cut out of it. */
  readonly damage: Damage
  /** Told once it was opened again: of what was read before, a write that failed may have been undone, and rows cut out. */
  readonly reopenListeners = new Set<() => void>()

  constructor(location: string, options: SoundLevelOptions) {
    super(location, levelSizes)
    this.#options = options
    this.#background = new Background('the database', options.logger)
    this.damage = new Damage(location, options)
  }

  /** Why nothing can be written now. */
  problem(): string | undefined {
    return this.#state.name === 'sound' ? undefined : refusalOf(this.#state, this.#obstacle).message
  }

  /** Everything that was written before survives a power cut when this resolves. */
  async sync(): Promise<void> {
    await this.write([], true)
  }

  override async _open(options: object): Promise<void> {
    this.#openOptions = options
    await this.#openEngine()
    try {
      this.#counter = (await this.#readCounter()) ?? 0
    } catch (error) {
      if (!isDamage(error)) throw error
      await super._close()
      await this.damage.cut()
      await this.#openEngine()
      this.#counter = (await this.#readCounter()) ?? 0
      this.damage.tell()
    }
  }

  override async _close(): Promise<void> {
    await this.#writing
    await this.#background[Symbol.asyncDispose]()
    if (this.#state.name !== 'shut') await super._close()
  }

  protected override async write(operations: Operation[], sync: boolean): Promise<void> {
    if (this.#state.name !== 'sound') throw refusalOf(this.#state, this.#obstacle)
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
      if (this.#state.name !== 'sound') this.#queue.reject(refusalOf(this.#state, this.#obstacle))
    }
    this.#writing = undefined
  }

  async #append(operations: Operation[], sync: boolean): Promise<void> {
    const counter = this.#counter + 1
    await this.writeRaw([...operations, { type: 'put', key: counterKey, value: String(counter) }], sync)
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
  async check(options: CheckOptions = {}): Promise<void> {
    try {
      await this.damage.find(options)
    } catch (error) {
      if (!(error instanceof TableDamagedError)) throw error
      this.readFault(error)
    }
  }

  /** What to throw for what a read threw. After damage the database is mended by itself. */
  protected override readFault(error: unknown): unknown {
    if (!isDamage(error)) return error
    const { clock, logger, metrics } = this.#options
    const fault = faultOf(error)
    if (this.#state.name === 'sound' && clock.now() >= this.#vainUntilMs) {
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
    const values = await this.readRaw(keys)
    return keys.map((key, index) => {
      const value = values[index]
      return value === undefined ? { type: 'del', key } : { type: 'put', key, value }
    })
  }

  /** Tries until it is sound again, or closed. Whatever else goes wrong meanwhile is mended with it. */
  async #mend(signal: AbortSignal): Promise<void> {
    if (this.#isMending) return
    this.#isMending = true
    try {
      while (!signal.aborted && this.#toReopen() !== undefined) await this.#tryToReopen(signal)
    } finally {
      this.#isMending = false
    }
  }

  async #tryToReopen(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    try {
      await this.#writing
      await this.#checkRoom()
      const state = this.#toReopen()
      if (state !== undefined) await this.#reopen(state)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      const isNews = why !== this.#obstacle
      this.#obstacle = why
      if (isNews) logger.warn({ err: error }, 'the database cannot be opened again yet')
      await clock.sleep(retryMs, { signal })
    }
  }

  #toReopen(): Reopenable | undefined {
    return this.#state.name === 'faulty' || this.#state.name === 'shut' ? this.#state : undefined
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

  async #reopen(state: Reopenable): Promise<void> {
    const { fault, before } = state
    const { clock } = this.#options
    const opened = Promise.withResolvers<void>()
    this.#state = { name: 'reopening', fault, opened: opened.promise }
    const reading = unreadable(fault)
    let failed: Reopenable = state
    try {
      if (state.name === 'faulty') {
        await this.cutOffReaders(reading)
        await super._close()
        failed = { name: 'shut', fault, before }
      }
      if (isDamage(fault) && !(await this.damage.cut())) this.#vainUntilMs = clock.now() + vainMs
      await this.#openEngine()
    } catch (error) {
      this.#state = failed
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
    await this.writeRaw([...before, ...(isDamage(fault) ? [counter] : [])], true)
    this.#state = { name: 'sound' }
    this.#obstacle = undefined
    for (const listener of this.reopenListeners) listener()
    this.#options.logger.info({ writes: this.#counter }, 'the database was opened again and takes writes')
    this.damage.tell()
  }

  async #openEngine(): Promise<void> {
    await super._open(this.#openOptions)
    try {
      // LevelDB renames its CURRENT without syncing the folder.
      await syncFolder(this.location)
      for (const line of await droppedIn(this.location))
        this.#options.logger.error({ line }, 'the database dropped what it could not read of its log')
    } catch (error) {
      // Who tries again finds it shut, as when it could not be opened.
      await super._close()
      throw error
    }
  }

  async #readCounter(): Promise<number | undefined> {
    const [value] = await this.readRaw([counterKey])
    return value === undefined ? undefined : Number(Buffer.from(value).toString())
  }

  protected override async readable(): Promise<void> {
    if (this.#state.name === 'reopening') await this.#state.opened
    if (this.#state.name === 'shut') throw unreadable(this.#state.fault)
  }

  protected override checkReadable(): void {
    if (this.#state.name === 'reopening' || this.#state.name === 'shut') throw unreadable(this.#state.fault)
  }
}
