/** All blobs on their way in: one transfer for each digest, shared by whoever wants it, stopped a while after the last has left. */
import { type Background, ClosingError, unlessAborted, untilOrAfter } from '../../base/base.ts'
import type { Digest, RangesOf } from '../../oci/oci.ts'
import type { Origin } from '../contract.ts'
import { BlobUnavailableError, ExchangeClosedError } from '../errors.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Interest } from './interest.ts'
import { Transfer, type TransferContext } from './transfer.ts'

export interface TransfersOptions extends TransferContext {
  background: Background
  graceMs: number
  /** Whether the repository may have it, as this node or a member says. */
  isAllowed(wanted: Wanted, signal: AbortSignal): Promise<boolean>
}

interface Entry {
  readonly transfer: Transfer
  readonly stop: AbortController
  readonly ended: PromiseWithResolvers<void>
  users: number
  /** Counts up whenever someone comes, so that a grace time that was overtaken means nothing. */
  visits: number
  /** What the last of its users wanted, which goes on for a while. */
  last: Interest | undefined
}

/** A hold on a transfer. */
export interface Share {
  readonly transfer: Transfer
  /** Letting go twice is letting go once. With `atOnce`, nobody waits for another who may want it. */
  release(options?: { atOnce?: boolean }): void
}

export class Transfers {
  readonly #options: TransfersOptions
  readonly #entries = new Map<Digest, Entry>()

  constructor(options: TransfersOptions) {
    this.#options = options
  }

  get(digest: Digest): Transfer | undefined {
    return this.#entries.get(digest)?.transfer
  }

  list(): Transfer[] {
    return [...this.#entries.values()].map(({ transfer }) => transfer)
  }

  /**
   * Joins the transfer of the digest, or begins one, of which all is wanted or `ranges`. `undefined` when nobody lets the
   * repository have it.
   */
  async join(
    wanted: Wanted,
    { ranges, signal }: { ranges?: RangesOf | undefined; signal: AbortSignal },
  ): Promise<Share | undefined> {
    const known = this.#entries.get(wanted.digest)
    // What was begun for another repository is shared once a member says that this one may read it, too.
    if (known !== undefined && !known.transfer.state.repositories.has(wanted.repository)) {
      if (!(await this.#options.isAllowed(wanted, signal))) return undefined
      known.transfer.state.repositories.add(wanted.repository)
    }
    const share = await this.#share(wanted, { ranges })
    share.transfer.state.isWanted = true
    try {
      if (await unlessAborted(share.transfer.state.found, signal)) return share
    } catch (error) {
      share.release()
      if (!(error instanceof BlobUnavailableError) || error.cause !== undefined) throw error
    }
    share.release({ atOnce: true })
    if (known === undefined || known.transfer.state.wanted.repository === wanted.repository) return undefined
    // Members were asked for the repository that it was begun for, and may let this one have it.
    await unlessAborted(known.ended.promise, signal)
    return await this.join(wanted, { ranges, signal })
  }

  /** A hold on the transfer of a blob that this node is to fetch from the origin; `undefined` when the repository may not have it. */
  async fetchFromOrigin(wanted: Wanted, origin: Origin, signal: AbortSignal): Promise<Share | undefined> {
    const known = this.#entries.get(wanted.digest)?.transfer.state
    const isOther = known !== undefined && !known.repositories.has(wanted.repository)
    if (isOther && !(await this.#options.admits(wanted, origin, signal))) return undefined
    // Whoever it is fetched for, others may want the rest.
    const share = await this.#share(wanted, {})
    const { repositories } = share.transfer.state
    if (repositories.has(wanted.repository)) return share
    repositories.add(wanted.repository)
    // Who asked for it in this repository was told that it is not here.
    this.#options.inventory.changed(wanted.digest)
    return share
  }

  async #share(wanted: Wanted, interest: Interest): Promise<Share> {
    let entry = this.#entries.get(wanted.digest)
    // One that is ending still has the part open.
    while (entry !== undefined && (entry.stop.signal.aborted || entry.transfer.state.failure !== undefined)) {
      await entry.ended.promise
      entry = this.#entries.get(wanted.digest)
    }
    entry ??= this.#begin(wanted)
    entry.users++
    entry.visits++
    const { state } = entry.transfer
    state.want(interest)
    if (entry.last !== undefined) state.unwant(entry.last)
    entry.last = undefined
    let isHeld = true
    return {
      transfer: entry.transfer,
      release: ({ atOnce = false } = {}) => {
        if (!isHeld) return
        isHeld = false
        entry.users--
        if (entry.users > 0) {
          state.unwant(interest)
          return
        }
        entry.last = interest
        this.#stopSoon(entry, atOnce)
      },
    }
  }

  #begin(wanted: Wanted): Entry {
    const { background } = this.#options
    const transfer = new Transfer(wanted, this.#options)
    const stop = new AbortController()
    const ended = Promise.withResolvers<void>()
    const entry: Entry = { transfer, stop, ended, users: 0, visits: 0, last: undefined }
    if (background.signal.aborted) throw new ClosingError('the exchange is closing')
    this.#entries.set(wanted.digest, entry)
    background.start('transfer', async (signal) => {
      await transfer.run({ signal: AbortSignal.any([signal, entry.stop.signal]) })
      const { failure } = transfer.state
      const result =
        failure === undefined ? 'done' : stop.signal.aborted || signal.aborted ? 'stopped' : 'failed'
      this.#options.metrics.count('shoal_exchange_transfers_total', { result })
      if (failure !== undefined && !signal.aborted && !stop.signal.aborted) {
        this.#options.logger.info({ err: failure, digest: wanted.digest }, 'a transfer failed')
      }
      this.#entries.delete(wanted.digest)
      stop.abort(new ExchangeClosedError('the transfer is over'))
      ended.resolve()
    })
    return entry
  }

  #stopSoon(entry: Entry, atOnce: boolean): void {
    const { clock, graceMs, background } = this.#options
    const { visits } = entry
    const stop = (): void => {
      if (entry.users > 0 || entry.visits !== visits) return
      // Whoever comes now begins anew, while this one closes its part.
      entry.stop.abort(new ExchangeClosedError('nobody reads it any more'))
    }
    if (atOnce) {
      stop()
      return
    }
    background.start('grace', async (signal) => {
      await untilOrAfter(entry.ended.promise, graceMs, { clock, signal })
      stop()
    })
  }
}
