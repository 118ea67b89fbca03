/**
 * Whether a blob is to be had, for who would push it if it is not: nobody's word is enough for that. It is brought here at once. Where
 * a manifest says how large it is, a piece of it will do: whoever asks has had the manifest from here, and may want ranges alone; and
 * of one that takes longer the size is told where a member that holds it says the same.
 */
import { type Clock, RecentMap, untilOrAfter } from '../../base/base.ts'
import type { Digest, RangesOf } from '../../oci/oci.ts'
import type { Blobs } from '../../store/store.ts'
import { ExchangeClosedError } from '../errors.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { LookUp } from './look-up.ts'
import type { Transfer } from './transfer.ts'
import type { Share, Transfers } from './transfers.ts'

export interface FindingOptions {
  blobs: Pick<Blobs, 'stat'>
  lookUp: Pick<LookUp, 'isHeldFor'>
  transfers: Transfers
  clock: Clock
}

interface FindOptions {
  withinMs: number
  sizes?: readonly number[]
}

/** A blob that could not be brought is taken for nowhere for so long: who pushes it again is to send it. */
const vainMs = 600_000
const maxVain = 1024

export class Finding {
  readonly #options: FindingOptions
  readonly #vain = new RecentMap<Digest, number>(maxVain)

  constructor(options: FindingOptions) {
    this.#options = options
  }

  /** It was to be brought here, and was not. */
  inVain(digest: Digest): void {
    this.#vain.set(digest, this.#options.clock.now() + vainMs)
  }

  /** For one that is not in the store yet; see `Exchange`. */
  async find(
    wanted: Wanted,
    { withinMs, sizes = [] }: FindOptions,
    signal: AbortSignal,
  ): Promise<{ size: number } | undefined> {
    const { blobs, lookUp, transfers, clock } = this.#options
    const { digest } = wanted
    const over = new AbortController()
    const shares: Share[] = []
    let matched: number | undefined
    let isHeld = false
    const join = async (ranges?: RangesOf): Promise<Transfer['state'] | undefined> => {
      const share = await transfers.join(wanted, { ranges, signal: either })
      if (share !== undefined) shares.push(share)
      return share?.transfer.state
    }
    const isVain = (this.#vain.get(digest) ?? 0) > clock.now()
    const either = AbortSignal.any([signal, over.signal])
    const bringing = async (): Promise<void> => {
      // Only what members hold: no origin is asked for the sake of a push.
      isHeld = await lookUp.isHeldFor(wanted, { signal: either })
      if (!isHeld) return
      if (sizes.length > 0 && !isVain) {
        const layout = await (await join(() => []))?.ready
        matched = sizes.find((size) => size === layout?.size)
      }
      if (matched === undefined) await (await join())?.done
    }
    try {
      await untilOrAfter(bringing(), withinMs, { clock, signal })
      // It may have come meanwhile for a repository that has nothing to do with this one.
      if (!isHeld) return undefined
      const brought = await blobs.stat(digest)
      if (brought !== undefined) return { size: brought.size }
      if (isVain) return undefined
      const isHeldWith = (size: number): boolean =>
        shares.some(({ transfer }) => transfer.sources.holding().some(({ holds }) => holds.size === size))
      const size = matched ?? sizes.find(isHeldWith)
      return size === undefined ? undefined : { size }
    } catch (error) {
      // Why it did not come is for those to hear who cannot send it instead.
      if (shares.some(({ transfer }) => transfer.state.failure === error)) return undefined
      throw error
    } finally {
      over.abort(new ExchangeClosedError('it is not waited for any more'))
      for (const { release } of shares) release({ atOnce: true })
    }
  }
}
