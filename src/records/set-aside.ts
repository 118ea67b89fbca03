/**
 * Records that stand as they were written and that this code cannot read, as a version wrote them that knows more or was less
 * strict. They count as missing, so that nothing else is in their way; their bytes are kept for a version that reads them.
 */
import type { Draft } from './draft.ts'
import type { ApplyOptions, ApplyReport } from './inflow.ts'
import { type Database, end, positionAt, positionOf, recordAt, unreadableAt } from './storage.ts'
import { readRecord } from './stored.ts'
import type { Writer } from './writer.ts'

const view = { valueEncoding: 'view' } as const
const range = { gte: unreadableAt(''), lt: unreadableAt(end) }

export class SetAside {
  readonly #db: Database
  readonly #writer: Writer
  #count = 0

  constructor(db: Database, writer: Writer) {
    this.#db = db
    this.#writer = writer
  }

  /** How many there are, as of the last `restore` or `forget`. */
  get count(): number {
    return this.#count
  }

  /** Gives those that this code reads to `apply`, which judges them as a member's. */
  async restore(
    apply: (records: Uint8Array[], options: ApplyOptions) => Promise<ApplyReport>,
  ): Promise<void> {
    await this.#dropWhere(async (key, bytes) => {
      if (readRecord(key, bytes) === undefined) return false
      const { refused } = await apply([bytes], { wanted: () => true })
      return refused.ahead === undefined
    })
  }

  /** Forgets those for whose keys something else has come to stand. */
  async forget(): Promise<void> {
    await this.#dropWhere(async (key) => this.#db.getSync(recordAt(key)) !== undefined)
  }

  async #dropWhere(isDone: (key: string, bytes: Uint8Array) => Promise<boolean>): Promise<void> {
    const done: string[] = []
    let count = 0
    for await (const [row, bytes] of this.#db.iterator<string, Uint8Array>({ ...range, ...view }))
      if (await isDone(row.slice(unreadableAt('').length), bytes)) done.push(row)
      else count++
    this.#count = count
    if (done.length === 0) return
    await this.#writer.run(
      async ({ draft }) => {
        for (const row of done) draft.write(row, undefined)
      },
      { sync: false },
    )
  }
}

/** The current record of `key` is one no more. */
export function setAside(draft: Draft, key: string, bytes: Uint8Array): void {
  draft.write(unreadableAt(key), bytes)
  draft.write(recordAt(key), undefined)
  draft.write(positionAt(positionOf(key)), undefined)
}
