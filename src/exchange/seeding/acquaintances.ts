/** Since when each connected member is known: what a new key does not have. */
import type { Clock } from '../../base/base.ts'
import type { ExchangeMembers } from '../contract.ts'

export class Acquaintances implements Disposable {
  /** As many as members are connected. */
  readonly #since = new Map<string, number>()
  readonly #stop: () => void

  constructor(members: ExchangeMembers, clock: Clock) {
    for (const peer of members.peers()) this.#since.set(peer, clock.now())
    this.#stop = members.onChange(({ kind, peer }) => {
      if (kind === 'leave') this.#since.delete(peer)
      else if (!this.#since.has(peer)) this.#since.set(peer, clock.now())
    })
  }

  /** Later than for any other where the peer is none of the members. */
  knownMs(peer: string): number {
    return this.#since.get(peer) ?? Number.MAX_SAFE_INTEGER
  }

  [Symbol.dispose](): void {
    this.#stop()
  }
}
