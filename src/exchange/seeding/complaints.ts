/** What downloaders call wrong is read and hashed again: either the disk is rotten, and the blob with it, or the complaint is false. */
import { webcrypto } from 'node:crypto'
import {
  type Background,
  type Clock,
  CodedError,
  FairBudget,
  type Logger,
  Semaphore,
} from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import type { Providers } from '../contract.ts'
import { BlobUnavailableError } from '../errors.ts'
import type { Faults } from '../peer/faults.ts'
import { type PieceList, pieceHash } from '../protocol/piece-list.ts'
import { pieceRange } from '../protocol/piece-size.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Inventory } from './inventory.ts'
import type { PieceLists } from './piece-lists.ts'

export interface ComplaintsOptions {
  background: Background
  inventory: Inventory
  lists: PieceLists
  faults: Faults
  providers: Pick<Providers, 'withdraw'>
  onRotten(digest: Digest): void
  /** From where a connected peer speaks: keys cost it nothing. */
  hostOf(peer: string): string
  clock: Clock
  logger: Logger
}

/** Each costs reading a piece. */
const checksPerSecond = 4
const checksAtOnce = 32
const maxReading = 4
const maxUnderWay = 32
/** And for a blob whose list is not made yet, all of it, in turn with the lists that others wait for: so many, of one host one. */
const maxMaking = 4

export class Complaints {
  readonly #options: ComplaintsOptions
  /** What is looked at now. */
  readonly #checking = new Set<string>()
  readonly #checks: FairBudget
  readonly #reading = new Semaphore(maxReading)
  /** For whom lists are made. */
  readonly #making = new Set<string>()

  constructor(options: ComplaintsOptions) {
    this.#options = options
    const { clock } = options
    this.#checks = new FairBudget({
      burst: checksAtOnce,
      perSecond: checksPerSecond,
      now: () => clock.now(),
    })
  }

  /** The peer says that it got wrong bytes. */
  hear(peer: string, wanted: Wanted, piece: number): void {
    const { hostOf, faults, background } = this.#options
    const host = hostOf(peer)
    const checked = `${wanted.digest} ${piece}`
    // Those who waited for one answer, such as all keys of a host while a list is made, would take the places of others.
    if (this.#checking.has(checked) || this.#checking.size >= maxUnderWay) return
    if (!this.#checks.take(host, 1)) return
    this.#checking.add(checked)
    background.start('complaint', async () => {
      try {
        const isRight = await this.#check(wanted, piece, host)
        if (isRight) faults.add(peer, 'false-complaint', { digest: wanted.digest, piece })
      } finally {
        this.#checking.delete(checked)
      }
    })
  }

  /** Reading a piece failed. */
  unreadable(digest: Digest, piece: number, error: unknown): void {
    const { inventory, logger } = this.#options
    // Someone removed the blob, which is no fault of the disk.
    if (error instanceof BlobUnavailableError) {
      inventory.changed(digest)
      return
    }
    if (inventory.partialList(digest) !== undefined) {
      logger.warn({ err: error, digest, piece }, 'a piece of a partial blob cannot be read')
      return
    }
    if (isOfSystem(error)) this.#hide(digest, piece, error)
    else this.#rot(digest, piece)
  }

  /** `undefined` when the disk does not say, or nobody looks. */
  async #check(wanted: Wanted, piece: number, host: string): Promise<boolean | undefined> {
    const { digest } = wanted
    const { inventory, logger } = this.#options
    const partial = inventory.partialList(digest)
    const item = await inventory.find(wanted)
    if (item === undefined) return false
    const list = partial ?? (await this.#listOf(digest, item.size, host))
    if (list === undefined) return undefined
    let isRight = false
    try {
      const range = pieceRange(list.layout, piece)
      const hash = pieceHash(list, piece)
      isRight = await this.#reading.run(async () => await this.#isRight(digest, range, hash))
    } catch (error) {
      logger.warn({ err: error, digest }, 'a piece that was called wrong cannot be read')
      if (isOfSystem(error)) {
        if (partial === undefined) this.#hide(digest, piece, error)
        return undefined
      }
    }
    if (isRight) return true
    if (partial === undefined) this.#rot(digest, piece)
    else logger.warn({ digest, piece }, 'a piece of a partial blob is not what it was')
    return false
  }

  /** `undefined` where too many are made already. */
  async #listOf(digest: Digest, size: number, host: string): Promise<PieceList | undefined> {
    const { lists } = this.#options
    const kept = await lists.kept(digest, size)
    if (kept !== undefined) return kept
    if (this.#making.size >= maxMaking || this.#making.has(host)) return undefined
    this.#making.add(host)
    try {
      return await lists.get(digest, size)
    } finally {
      this.#making.delete(host)
    }
  }

  async #isRight(
    digest: Digest,
    { start, end }: { start: number; end: number },
    hash: Uint8Array,
  ): Promise<boolean> {
    const bytes = new Uint8Array(end - start)
    let at = 0
    for await (const chunk of this.#options.inventory.chunks(digest, start, end)) {
      bytes.set(chunk, at)
      at += chunk.length
    }
    return Buffer.compare(new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes)), hash) === 0
  }

  #rot(digest: Digest, piece: number): void {
    const { lists, logger } = this.#options
    logger.error({ digest, piece }, 'a blob has rotted on the disk')
    // Its hashes may have been taken when it was rotten already.
    this.#withhold(digest, piece, () => lists.drop(digest))
  }

  /** Members get it from others until it can be read again. */
  #hide(digest: Digest, piece: number, error: unknown): void {
    this.#options.logger.warn(
      { err: error, digest, piece },
      'a blob cannot be read, and is not given to members',
    )
    this.#withhold(digest, piece, async () => undefined)
  }

  #withhold(digest: Digest, piece: number, before: () => Promise<void>): void {
    const { inventory, providers, background, onRotten } = this.#options
    inventory.rot(digest, piece)
    providers.withdraw(digest)
    background.start('forget', async () => {
      await before()
      onRotten(digest)
    })
  }
}

/** Too many open files, a bus that failed: what the system refuses says nothing of the bytes. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && !(error instanceof CodedError) && 'code' in error
}
