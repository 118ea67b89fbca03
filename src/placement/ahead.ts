/**
 * Blobs of a push go to who is going to own the image while the rest of it is still being pushed. The manifest, by which owners are
 * ranked otherwise, is not known then: so each push gets a home, a digest that is drawn, which the record of its tag tells.
 */
import { type Clock, RecentMap, Semaphore } from '../base/base.ts'
import { type Digest, digestBytes, type Repository } from '../oci/oci.ts'
import type { Roster } from './roster.ts'
import type { CopyPeers, CopyQuestion } from './securing.ts'

export interface AheadOptions {
  self: string
  roster: Roster
  peers: CopyPeers
  /** How many members are to hold what is pushed there. */
  copiesOf(repository: Repository): number
  /** From 0 to 1. */
  random(): number
  clock: Clock
  onFailure(peer: string, error: unknown): void
  /** Aborts when the node stops. */
  signal: AbortSignal
}

/** What is smaller comes with the manifest as soon. */
const leastBytes = 2 ** 20
/** A push that did not end by then has broken off. */
const openMs = 3_600_000
const maxOpen = 1_024
const maxAsking = 4
const maxWaiting = 64

export class Ahead {
  readonly #options: AheadOptions
  readonly #open = new RecentMap<Repository, { home: Digest; sinceMs: number }>(maxOpen)
  readonly #turns = new Semaphore(maxAsking)
  #waiting = 0

  constructor(options: AheadOptions) {
    this.#options = options
  }

  /** A blob is here whole, and its manifest is still to come. Resolves once its owners were asked to bring it. */
  async send(repository: Repository, digest: Digest, bytes: number): Promise<void> {
    const { self, roster, copiesOf } = this.#options
    const copies = Math.min(copiesOf(repository), roster.owners.size)
    if (bytes < leastBytes || copies <= 1 || this.#waiting >= maxWaiting) return
    const owners = roster.owners.rank(this.#homeOf(repository)).slice(0, copies)
    const others = owners.filter((peer) => peer !== self && roster.isPresent(peer))
    this.#waiting++
    try {
      await this.#turns.run(() => Promise.all(others.map((peer) => this.#ask(peer, repository, digest))))
    } finally {
      this.#waiting--
    }
  }

  /** The home of what was sent ahead there, for the tag that ends the push; the next push has another. */
  take(repository: Repository): Digest | undefined {
    const open = this.#find(repository)
    this.#open.delete(repository)
    return open?.home
  }

  #homeOf(repository: Repository): Digest {
    const known = this.#find(repository)
    if (known !== undefined) return known.home
    const { random, clock } = this.#options
    const home = digestBytes(Buffer.from(`${repository} ${random()} ${random()}`))
    this.#open.set(repository, { home, sinceMs: clock.now() })
    return home
  }

  #find(repository: Repository): { home: Digest } | undefined {
    const open = this.#open.get(repository)
    return open === undefined || this.#options.clock.now() - open.sinceMs > openMs ? undefined : open
  }

  async #ask(peer: string, repository: Repository, digest: Digest): Promise<void> {
    const { peers, onFailure, signal } = this.#options
    const question: CopyQuestion = { mode: 'ahead', images: [{ repository, digest }], withinMs: 0 }
    try {
      await peers.ask(peer, question, { signal })
    } catch (error) {
      // It comes with its manifest.
      onFailure(peer, error)
    }
  }
}
