/**
 * Answers that stay in memory until their client has taken them: so much of all together. Where there is no room for one more,
 * those make room that have been on their way for long.
 */
import type { ServerResponse } from 'node:http'

interface AnswerLimits {
  budgetBytes: number
  /** Smaller ones are not looked at: what connections there may be of them is little. */
  smallBytes: number
  /** For so long each has its place, however slow its client is. */
  placeMs: number
}

const defaults: AnswerLimits = { budgetBytes: 64 * 1024 * 1024, smallBytes: 64 * 1024, placeMs: 15_000 }

export class HeldAnswers {
  readonly limits: AnswerLimits
  readonly #nowMs: () => number
  /** The oldest first. */
  readonly #held = new Map<ServerResponse, { bytes: Uint8Array; sinceMs: number }>()
  /** How many answers are made of the same bytes. */
  readonly #uses = new Map<Uint8Array, number>()
  #heldBytes = 0

  constructor({
    limits,
    nowMs = () => performance.now(),
  }: { limits?: Partial<AnswerLimits>; nowMs?: () => number } = {}) {
    this.limits = { ...defaults, ...limits }
    this.#nowMs = nowMs
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  /** Takes a place until the response is closed; false where there is none. */
  enter(response: ServerResponse, bytes: Uint8Array): boolean {
    const { budgetBytes, smallBytes, placeMs } = this.limits
    if (bytes.length <= smallBytes || response.closed) return true
    const needed = this.#uses.has(bytes) ? 0 : bytes.length
    for (const [slow, { sinceMs }] of this.#held) {
      if (this.#heldBytes + needed <= budgetBytes || this.#nowMs() - sinceMs < placeMs) break
      this.#leave(slow)
      slow.destroy()
    }
    if (this.#heldBytes > 0 && this.#heldBytes + needed > budgetBytes) return false
    this.#held.set(response, { bytes, sinceMs: this.#nowMs() })
    this.#heldBytes += needed
    this.#uses.set(bytes, (this.#uses.get(bytes) ?? 0) + 1)
    response.once('close', () => this.#leave(response))
    return true
  }

  #leave(response: ServerResponse): void {
    const held = this.#held.get(response)
    if (held === undefined) return
    this.#held.delete(response)
    const { bytes } = held
    const left = (this.#uses.get(bytes) ?? 1) - 1
    if (left > 0) {
      this.#uses.set(bytes, left)
      return
    }
    this.#uses.delete(bytes)
    this.#heldBytes -= bytes.length
  }
}
