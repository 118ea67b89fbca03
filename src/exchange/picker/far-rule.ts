/** Who may ask peers beyond a narrow link, so that each piece comes over it about once for all who are near each other. */
import type { DownloadPeer } from './download-peer.ts'
import type { RequestBook } from './request-book.ts'

/** Pieces that a node fetches from far peers at once, for those near it. */
const maxFarRequests = 8

export interface FarRuleOptions {
  /** Whether this node fetches the piece for all; absent when nothing is to be saved. */
  fetchesFar?: ((piece: number) => boolean) | undefined
  patienceMs: number
  random: () => number
}

export class FarRule {
  readonly #fetchesFar: ((piece: number) => boolean) | undefined
  readonly #patienceMs: number
  #newsMs: number | undefined

  constructor({ fetchesFar, patienceMs, random }: FarRuleOptions) {
    this.#fetchesFar = fetchesFar
    // Everyone's patience ends at another moment: the narrow link must not get a crowd.
    this.#patienceMs = patienceMs * (1 + 3 * random())
  }

  begin(nowMs: number): void {
    this.#newsMs ??= nowMs
  }

  /** Something new can be had from near. */
  news(nowMs: number): void {
    this.#newsMs = nowMs
  }

  allows(peer: DownloadPeer, piece: number, book: RequestBook, nowMs: number): boolean {
    if (peer.near || this.#fetchesFar === undefined) return true
    if (this.#fetchesFar(piece)) return book.farRequests < maxFarRequests
    return book.farRequests === 0 && nowMs - (this.#newsMs ?? nowMs) > this.#patienceMs
  }
}
