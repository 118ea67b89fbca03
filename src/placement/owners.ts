/**
 * Which members own an image: every node reckons it alike from who is in, without a word about any image. Weighted rendezvous
 * hashing (Thaler and Ravishankar, 1998; Schindelhauer and Schomaker, 2005): who leaves or comes moves its own share alone.
 */
import { hash } from 'node:crypto'
import { RecentMap } from '../base/base.ts'
import { algorithmOf, type Digest } from '../oci/oci.ts'

/** What a member says of itself. */
export interface Offer {
  peer: string
  /** The room that it offers, as `roomOf` puts it; 0 takes nothing. */
  room: number
  site?: string | undefined
}

/** A step is twice the room. */
export const maxRoom = 40
/** Steps above the median that count: what a member says of its own disk is its word alone. */
const maxStepsAbove = 2

/** A member made ready to be ranked for many images. */
interface Candidate {
  peer: string
  site: string
  weight: number
  seed: readonly [number, number]
}

export class Owners {
  readonly #candidates: readonly Candidate[]
  readonly #hasSites: boolean

  constructor(offers: Iterable<Offer>) {
    const offering = [...offers].filter(({ room }) => room > 0)
    const most = medianRoom(offering) + maxStepsAbove
    this.#candidates = offering.map(({ peer, room, site = '' }) => {
      return { peer, site, weight: 2 ** Math.min(room, most), seed: seedOf(peer) }
    })
    this.#hasSites = new Set(this.#candidates.map(({ site }) => site)).size > 1
  }

  /** How many offer room at all. */
  get size(): number {
    return this.#candidates.length
  }

  /**
   * All members, the first owner at the front. Of any number from the front on no site has two before each has one, nor three
   * before each has two; who says nothing of a site is of one with the others who do not.
   */
  rank(digest: Digest): string[] {
    const key = keyOf(digest)
    const ranked = this.#candidates
      .map(({ peer, site, weight, seed }) => ({ peer, site, cost: costOf(seed, key, weight), turn: 0 }))
      .sort((a, b) => a.cost - b.cost || (a.peer < b.peer ? -1 : 1))
    if (this.#hasSites) {
      const turns = new Map<string, number>()
      for (const one of ranked) {
        one.turn = turns.get(one.site) ?? 0
        turns.set(one.site, one.turn + 1)
      }
      // Sorting is stable: within a turn the order by cost stays.
      ranked.sort((a, b) => a.turn - b.turn)
    }
    return ranked.map(({ peer }) => peer)
  }
}

/**
 * Room in bytes as a step; with what was told before, it stays until it is wrong by three quarters of a step, so that nothing
 * moves for what is written and removed every day.
 */
export function roomOf(bytes: number, told?: number): number {
  if (bytes < 2 ** 20) return 0
  const step = Math.min(maxRoom, Math.log2(bytes / 2 ** 20) + 1)
  if (told !== undefined && told > 0 && Math.abs(step - told) < 0.75) return told
  return Math.max(1, Math.round(step))
}

/** The lower of two in the middle: while those that lie are fewer than the others it is no more than one of these says. */
function medianRoom(offers: Offer[]): number {
  const rooms = offers.map(({ room }) => room).sort((a, b) => a - b)
  return rooms[(rooms.length - 1) >> 1] ?? 0
}

/** An exponentially distributed number with the weight for its rate: the least of several is each's as often as its weight says. */
function costOf(seed: readonly [number, number], key: readonly [number, number], weight: number): number {
  const high = mix(seed[0] ^ key[0])
  const low = mix((seed[1] ^ key[1]) + high)
  // 52 bits, between 0 and 1 and neither.
  const chance = (high * 2 ** 20 + (low >>> 12) + 0.5) / 2 ** 52
  return -Math.log(chance) / weight
}

/** The finalizer of MurmurHash3: every bit of the input changes half of the output's. */
function mix(input: number): number {
  let x = input | 0
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

const seeds = new RecentMap<string, readonly [number, number]>(4096)

function seedOf(peer: string): readonly [number, number] {
  const known = seeds.get(peer)
  if (known !== undefined) return known
  const bytes = hash('sha256', peer, 'buffer')
  const seed = [bytes.readUInt32BE(0), bytes.readUInt32BE(4)] as const
  seeds.set(peer, seed)
  return seed
}

/** The digest's own first bytes are as good as a hash of it. */
function keyOf(digest: Digest): [number, number] {
  const at = algorithmOf(digest).length + 1
  return [Number.parseInt(digest.slice(at, at + 8), 16), Number.parseInt(digest.slice(at + 8, at + 16), 16)]
}
