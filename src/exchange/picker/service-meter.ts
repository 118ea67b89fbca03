/** What one peer usually takes for a piece: its rate, and the time within which nine of ten pieces came. */
const remembered = 16
const weight = 0.3

export class ServiceMeter {
  readonly #times: number[] = []
  #next = 0
  #bytesPerMs: number | undefined
  #p90: number | undefined

  /** `ms` from when the peer could begin with the piece: its request, or the arrival of the one before. */
  add(bytes: number, ms: number): void {
    const time = Math.max(ms, 0.1)
    this.#times[this.#next] = time
    this.#next = (this.#next + 1) % remembered
    this.#p90 = undefined
    // Averaging the time per byte, not the bytes per time: one lucky piece must not promise a fast peer.
    const before = this.#bytesPerMs
    this.#bytesPerMs =
      before === undefined ? bytes / time : 1 / ((1 - weight) / before + (weight * time) / bytes)
  }

  /** `undefined` before the first piece. */
  get bytesPerMs(): number | undefined {
    return this.#bytesPerMs
  }

  /** `undefined` before the third piece. */
  get p90Ms(): number | undefined {
    if (this.#times.length < 3) return undefined
    this.#p90 ??= this.#times.toSorted((a, b) => a - b)[Math.ceil(this.#times.length * 0.9) - 1]
    return this.#p90
  }
}
