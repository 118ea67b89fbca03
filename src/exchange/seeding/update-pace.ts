/** When an asker is told of the pieces that came since it was told last: soon, or a little later with more of them at once. */
import type { Background, Clock } from '../../base/base.ts'

export interface UpdatePaceOptions {
  background: Background
  clock: Clock
  /** The asker waits for pieces from here, and so is short of nothing. */
  isBusy(): boolean
  /** How long news may wait for more then. */
  busyMs(): number
  flush(): void
}

/** News waits so long for more, where the asker is not busy: each message costs both sides more than what it says. */
const soonMs = 20

export class UpdatePace {
  readonly #options: UpdatePaceOptions
  #isDue = false
  #toldMs = 0

  constructor(options: UpdatePaceOptions) {
    this.#options = options
  }

  /** There is something to tell. */
  news(): void {
    if (this.#isDue) return
    this.#isDue = true
    const { background, clock, isBusy } = this.#options
    if (isBusy()) return
    background.start('updates', async (signal) => {
      // The first news after a while goes out at once.
      await clock.sleep(Math.max(0, this.#toldMs + soonMs - clock.now()), { signal })
      this.#tell()
    })
  }

  /** To be called now and then. */
  check(): void {
    const { clock, busyMs } = this.#options
    if (this.#isDue && clock.now() - this.#toldMs >= busyMs()) this.#tell()
  }

  #tell(): void {
    this.#isDue = false
    this.#toldMs = this.#options.clock.now()
    this.#options.flush()
  }
}
