/**
 * Which of the nodes of a site that download a blob asks other sites for which piece. All of them reckon alike, without a word:
 * by rendezvous hashing, as `rankMembers` does. The first few in the order of the blob share its pieces, so that it is
 * enough to know those, however many there are.
 */
import { hash } from 'node:crypto'

/** More would share the link no better; with fewer, one that fails takes a larger part with it. */
const maxGateways = 4

export class SiteOrder {
  readonly #self: string
  readonly #blob: string
  #weights = new Map<string, number>()
  #gateways: { peer: string; weight: number }[] = []

  constructor({ self, blob }: { self: string; blob: string }) {
    this.#self = self
    this.#blob = blob
    this.set([])
  }

  /** Those near that download it, too. */
  set(fellows: Iterable<string>): void {
    const known = this.#weights
    this.#weights = new Map()
    for (const peer of [this.#self, ...fellows]) {
      this.#weights.set(peer, known.get(peer) ?? this.#weightOf(peer))
    }
    const ranked = [...this.#weights]
      .map(([peer, weight]) => ({ peer, weight }))
      .sort((a, b) => b.weight - a.weight || (a.peer < b.peer ? -1 : 1))
    this.#gateways = ranked.slice(0, maxGateways)
  }

  /** Nobody near is counted on. */
  get isAlone(): boolean {
    return this.#gateways.length === 1
  }

  ownerOf(piece: number): string {
    let owner = this.#self
    let most = -1
    for (const { peer, weight } of this.#gateways) {
      const mixed = mix(weight ^ Math.imul(piece + 1, 0x9e3779b1))
      if (mixed <= most) continue
      owner = peer
      most = mixed
    }
    return owner
  }

  #weightOf(peer: string): number {
    return hash('sha256', `${peer} ${this.#blob}`, 'buffer').readUInt32BE()
  }
}

/** Every bit of the result depends on every bit of the value (murmur3). */
function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
