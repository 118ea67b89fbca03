/** Blobs that a member pushes and this node is to own: brought before any record names them, so within bounds of their own. */
import { type Clock, Semaphore, TokenBucket } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import type { ImageName } from './backlog.ts'
import type { Roster } from './roster.ts'
import type { CopyAnswer } from './securing.ts'

export interface AheadIntakeOptions {
  roster: Roster
  /** How many members are to hold what is pushed there. */
  copiesOf(repository: Repository): number
  /** An upstream would be asked for it. */
  isMirrored(repository: Repository): boolean
  /** Resolves to its bytes where it had to come; `undefined` when nobody gives it. */
  bringAhead(
    repository: Repository,
    digest: Digest,
    options: { signal: AbortSignal },
  ): Promise<number | undefined>
  clock: Clock
  onFailure(peer: string, error: unknown): void
  /** Aborts when the node stops. */
  signal: AbortSignal
}

const maxAtOnce = 4
const maxWaiting = 64
/** In an hour, whoever asks: what nobody names is collected after its grace. */
const hourlyBytes = 32 * 2 ** 30

export class AheadIntake {
  readonly #options: AheadIntakeOptions
  readonly #turns = new Semaphore(maxAtOnce)
  readonly #budget: TokenBucket
  #waiting = 0

  constructor(options: AheadIntakeOptions) {
    this.#options = options
    this.#budget = new TokenBucket({
      bytesPerSecond: hourlyBytes / 3600,
      burstBytes: hourlyBytes,
      nowMs: options.clock.now(),
    })
  }

  answer({ repository, digest }: ImageName, peer: string): CopyAnswer {
    const { roster, clock, copiesOf, isMirrored, onFailure } = this.#options
    // Nobody pushes what is mirrored.
    const mayCome = roster.offersRoom && copiesOf(repository) > 1 && !isMirrored(repository)
    if (!mayCome || this.#waiting >= maxWaiting || this.#budget.waitMs(clock.now()) > 0) return 'refused'
    this.#waiting++
    this.#turns
      .run(() => this.#bring(repository, digest))
      .catch((error: unknown) => onFailure(peer, error))
      .finally(() => this.#waiting--)
    return 'coming'
  }

  async #bring(repository: Repository, digest: Digest): Promise<void> {
    const { bringAhead, clock, signal } = this.#options
    this.#budget.take((await bringAhead(repository, digest, { signal })) ?? 0, clock.now())
  }
}
