/**
 * Whether a blob is to be had, for who would push it if it is not: nobody's word is enough for that. It is brought here at once,
 * and of one that takes longer a size is told only where a manifest says the same as a member that holds it.
 */
import { type Clock, RecentMap, untilOrAfter } from '../../base/base.ts'
import type { Digest } from '../../oci/oci.ts'
import type { Blobs } from '../../store/store.ts'
import { ExchangeClosedError } from '../errors.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Share, Transfers } from './transfers.ts'

export interface FindOptions {
  withinMs: number
  sizes?: readonly number[]
}

/** A blob that could not be brought is taken for nowhere for so long: who pushes it again is to send it. */
const vainMs = 600_000
const maxVain = 1024

export class Finding {
  readonly #options: { blobs: Pick<Blobs, 'stat'>; transfers: Transfers; clock: Clock }
  readonly #vain = new RecentMap<Digest, number>(maxVain)

  constructor(options: { blobs: Pick<Blobs, 'stat'>; transfers: Transfers; clock: Clock }) {
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
    const { blobs, transfers, clock } = this.#options
    const { digest } = wanted
    const over = new AbortController()
    let share: Share | undefined
    const either = AbortSignal.any([signal, over.signal])
    const bringing = async (): Promise<void> => {
      // Only what members hold: no origin is asked for the sake of a push.
      if (!(await transfers.isHeldFor(wanted, { signal: either, withinMs }))) return
      share = await transfers.join(wanted, { signal: either })
      await share?.transfer.state.done
    }
    try {
      await untilOrAfter(bringing(), withinMs, { clock, signal })
      const brought = await blobs.stat(digest)
      if (brought !== undefined) return { size: brought.size }
      const isVain = (this.#vain.get(digest) ?? 0) > clock.now()
      const size = sizes.find((each) => share?.transfer.isHeldWith(each) === true)
      return size === undefined || isVain ? undefined : { size }
    } catch (error) {
      // Why it did not come is for those to hear who cannot send it instead.
      if (error === share?.transfer.state.failure) return undefined
      throw error
    } finally {
      over.abort(new ExchangeClosedError('it is not waited for any more'))
      share?.release({ atOnce: true })
    }
  }
}
