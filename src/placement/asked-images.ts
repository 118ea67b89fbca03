/** Images that members ask this node to hold: brought some at a time, and told of once they are here. */
import type { Clock, Semaphore } from '../base/base.ts'
import type { Holdings } from './holdings.ts'
import type { Image } from './image.ts'
import type { CopyAnswer, CopyPeers } from './securing.ts'
import { ImageSlowError } from './turn.ts'

export interface AskedImagesOptions {
  holdings: Pick<Holdings, 'bring'>
  peers: CopyPeers
  /** Those that are brought. */
  turns: Semaphore
  clock: Clock
  onFailure(peer: string, error: unknown): void
  /** Aborts when the node stops. */
  signal: AbortSignal
}

const maxHolding = 64
export const maxHoldMs = 30_000
/** Of an image that comes slowly: then who asked asks again. */
const maxTurns = 10

export class AskedImages {
  readonly #options: AskedImagesOptions
  #holding = 0

  constructor(options: AskedImagesOptions) {
    this.#options = options
  }

  /** It goes on when who asked waits no more, and is told when it is here. */
  async bring(
    image: Image,
    { peer, withinMs, signal }: { peer: string; withinMs: number; signal: AbortSignal },
  ): Promise<CopyAnswer> {
    const { turns, clock, signal: closing } = this.#options
    if (this.#holding >= maxHolding) return 'refused'
    this.#holding++
    const options = { isUrgent: withinMs > 0, isAwaited: () => turns.waiting > 0, signal: closing }
    const bringing = this.#bringInTurns(image, options).finally(() => this.#holding--)
    const over = new AbortController()
    const late = clock
      .sleep(Math.min(withinMs, maxHoldMs), { signal: AbortSignal.any([signal, over.signal]) })
      .then(() => 'coming' as const)
    try {
      const came = await Promise.race([bringing, late])
      if (came !== 'coming') return came ? 'held' : 'missing'
      void this.#tellOnce(bringing, peer, image)
      return came
    } finally {
      over.abort(new Error('it is not waited for any more'))
      for (const left of [bringing, late]) left.catch(() => undefined)
    }
  }

  /** One that comes slowly stands behind the others again. */
  async #bringInTurns(image: Image, options: Parameters<Holdings['bring']>[1]): Promise<boolean> {
    const { holdings, turns } = this.#options
    for (let turn = 0; turn < maxTurns; turn++) {
      const { isWhole, cause } = await turns.run(() => holdings.bring(image, options))
      if (isWhole || !(cause instanceof ImageSlowError)) return isWhole
    }
    return false
  }

  /** Who waits for it need not ask again; who does not hear it does. */
  async #tellOnce(bringing: Promise<boolean>, peer: string, { repository, digest }: Image): Promise<void> {
    const { peers, onFailure, signal } = this.#options
    try {
      if (!(await bringing)) return
      await peers.ask(peer, { mode: 'have', images: [{ repository, digest }], withinMs: 0 }, { signal })
    } catch (error) {
      onFailure(peer, error)
    }
  }
}
