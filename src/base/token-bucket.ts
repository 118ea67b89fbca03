/** A rate limit in bytes per second, for `--max-upload` and `--max-download`: debts are allowed, and waited out. */
export class TokenBucket {
  readonly #bytesPerMs: number
  readonly #burstBytes: number
  #tokens: number
  #atMs: number

  /** Starts full. `burstBytes` defaults to what a quarter of a second allows, and is at least one byte. */
  constructor(options: { bytesPerSecond: number; burstBytes?: number; nowMs: number }) {
    const { bytesPerSecond, burstBytes = bytesPerSecond / 4, nowMs } = options
    this.#bytesPerMs = bytesPerSecond / 1000
    this.#burstBytes = Math.max(1, burstBytes)
    this.#tokens = this.#burstBytes
    this.#atMs = nowMs
  }

  /** Takes `bytes` now, and returns how long to wait before they may move. */
  take(bytes: number, nowMs: number): number {
    this.#refill(nowMs)
    this.#tokens -= bytes
    return this.#tokens >= 0 ? 0 : Math.ceil(-this.#tokens / this.#bytesPerMs)
  }

  /** Gives back what was taken and did not move. */
  refund(bytes: number): void {
    this.#tokens = Math.min(this.#burstBytes, this.#tokens + bytes)
  }

  /** How long until the debt is paid; 0 when something may be taken without a wait. */
  waitMs(nowMs: number): number {
    this.#refill(nowMs)
    return this.#tokens > 0 ? 0 : Math.max(1, Math.ceil(-this.#tokens / this.#bytesPerMs))
  }

  #refill(nowMs: number): void {
    // A clock that was set back refills nothing, and is waited for no longer than it takes to catch up.
    const passed = Math.max(0, nowMs - this.#atMs)
    this.#tokens = Math.min(this.#burstBytes, this.#tokens + passed * this.#bytesPerMs)
    this.#atMs = nowMs
  }
}
