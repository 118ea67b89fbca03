/**
 * What the disk changed in a database: found, cut out, and told to those who make the rows anew that went with it. A file beside the
 * database says from before the first cut that there are such rows, so that a kill in between does not hide it.
 */
import { closeSync, existsSync, fsyncSync, openSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock, Logger, Metrics } from '../../base/base.ts'
import { syncFolder } from '../files/blob-files.ts'
import { type CutTable, checkTables, cutTables, TableDamagedError } from './table-files.ts'

interface DamageOptions {
  logger: Logger
  metrics: Metrics
  clock: Clock
}

export interface CheckOptions {
  signal?: AbortSignal
  /** Called after each table: it takes some 20 ms. */
  pace?(): Promise<void>
}

export class Damage {
  /** What was cut out since it was opened by its owner. */
  readonly tables: CutTable[] = []
  /** Told once it takes writes again. */
  readonly listeners = new Set<() => void>()
  readonly #directory: string
  readonly #options: DamageOptions
  readonly #mark: string
  readonly #untold: CutTable[] = []
  #cuts = 0

  constructor(directory: string, options: DamageOptions) {
    this.#directory = directory
    this.#options = options
    this.#mark = `${directory}.cut`
  }

  /** Whether rows went, now or before a restart, that nobody has made anew. */
  get isOpen(): boolean {
    return existsSync(this.#mark)
  }

  /** How often something may have been cut out of it. */
  get cuts(): number {
    return this.#cuts
  }

  /** What went with the first `cuts` is there again. */
  close(cuts: number): void {
    // At once, so that no cut comes in between.
    if (cuts === this.#cuts) rmSync(this.#mark, { force: true })
  }

  /** Reads all of its tables and compares their sums, as LevelDB does not. Throws TableDamagedError. */
  async find({ signal, pace }: CheckOptions = {}): Promise<void> {
    const { clock } = this.#options
    const rest = pace ?? (() => clock.sleep(0, signal === undefined ? {} : { signal }))
    for await (const { name, mended } of checkTables(this.#directory)) {
      if (mended !== undefined) throw new TableDamagedError(`${name} is not what was written`)
      await rest()
    }
  }

  /** Called while the database is closed. False where all is as it was written. */
  async cut(): Promise<boolean> {
    this.#cuts++
    const mark = openSync(this.#mark, 'w', 0o600)
    fsyncSync(mark)
    closeSync(mark)
    await syncFolder(dirname(this.#mark))
    await cutTables(this.#directory, (table) => this.#untold.push(table))
    return this.#untold.length > 0
  }

  /** Called when it was opened again. */
  tell(): void {
    const tables = this.#untold.splice(0)
    if (tables.length === 0) return
    this.tables.push(...tables)
    const { logger, metrics } = this.#options
    metrics.count('shoal_database_damaged_tables_total', {}, tables.length)
    logger.error(
      { tables },
      'the disk changed parts of the database: they are cut out, and their rows are made anew or come from members',
    )
    for (const listener of this.listeners) listener()
  }
}
