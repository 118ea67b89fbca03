/**
 * Blobs of a push go to who is going to own the image while the rest of it is still being pushed. The manifest, by which owners are
 * ranked otherwise, is not known then: so each push gets a home, a digest that is drawn, which the record of its tag tells.
 */
import { type Clock, RecentMap, Semaphore } from '../base/base.ts'
import { type Digest, digestBytes, type Repository } from '../oci/oci.ts'
import type { ImageName } from './backlog.ts'
import type { Roster } from './roster.ts'
import type { CopyPeers } from './securing.ts'

export interface AheadOptions {
  self: string
  roster: Roster
  peers: CopyPeers
  /** How many members are to hold what is pushed there. */
  copiesOf(repository: Repository): number
  /** From 0 to 1. */
  random(): number
  /** Blobs are about to go from here to others. */
  getReady(): void
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
/** A member that got ready stays so for longer: 30 s. */
const readyMs = 20_000
const maxReady = 1_024

interface Open {
  home: Digest
  sinceMs: number
  /** Something was sent ahead, so that its owners are those of this home. */
  isSent: boolean
}

export class Ahead {
  readonly #options: AheadOptions
  readonly #open = new RecentMap<Repository, Open>(maxOpen)
  /** When members were last told to get ready. */
  readonly #ready = new RecentMap<string, number>(maxReady)
  readonly #turns = new Semaphore(maxAsking)
  #waiting = 0

  constructor(options: AheadOptions) {
    this.#options = options
  }

  /** A push begins: the first bytes of a node's life take longest, so its owners get ready meanwhile. Resolves once they were told. */
  async begin(repository: Repository): Promise<void> {
    const { clock, getReady } = this.#options
    if (this.#copies(repository) <= 1) return
    const { home } = this.#openAt(repository)
    const isDue = (peer: string): boolean =>
      clock.now() - (this.#ready.get(peer) ?? Number.NEGATIVE_INFINITY) >= readyMs
    const due = this.#ownersOf(repository, home).filter(isDue)
    if (due.length === 0) return
    for (const peer of due) this.#ready.set(peer, clock.now())
    getReady()
    await this.#askAll(due, 'ready', { repository, digest: home })
  }

  /** A blob is here whole, and its manifest is still to come. Resolves once its owners were asked to bring it. */
  async send(repository: Repository, digest: Digest, bytes: number): Promise<void> {
    if (bytes < leastBytes || this.#copies(repository) <= 1) return
    const open = this.#openAt(repository)
    open.isSent = true
    await this.#askAll(this.#ownersOf(repository, open.home), 'ahead', { repository, digest })
  }

  /** The home of what was sent ahead there, for the tag that ends the push; the next push has another. */
  take(repository: Repository): Digest | undefined {
    const open = this.#find(repository)
    this.#open.delete(repository)
    return open?.isSent === true ? open.home : undefined
  }

  #copies(repository: Repository): number {
    const { roster, copiesOf } = this.#options
    return Math.min(copiesOf(repository), roster.owners.size)
  }

  /** Those who are connected, without this node. */
  #ownersOf(repository: Repository, home: Digest): string[] {
    const { self, roster } = this.#options
    const owners = roster.owners.rank(home).slice(0, this.#copies(repository))
    return owners.filter((peer) => peer !== self && roster.isPresent(peer))
  }

  #openAt(repository: Repository): Open {
    const known = this.#find(repository)
    if (known !== undefined) return known
    const { random, clock } = this.#options
    const home = digestBytes(Buffer.from(`${repository} ${random()} ${random()}`))
    const open = { home, sinceMs: clock.now(), isSent: false }
    this.#open.set(repository, open)
    return open
  }

  #find(repository: Repository): Open | undefined {
    const open = this.#open.get(repository)
    return open === undefined || this.#options.clock.now() - open.sinceMs > openMs ? undefined : open
  }

  async #askAll(peers: readonly string[], mode: 'ready' | 'ahead', image: ImageName): Promise<void> {
    if (this.#waiting >= maxWaiting) return
    this.#waiting++
    try {
      await this.#turns.run(() => Promise.all(peers.map((peer) => this.#ask(peer, mode, image))))
    } finally {
      this.#waiting--
    }
  }

  async #ask(peer: string, mode: 'ready' | 'ahead', image: ImageName): Promise<void> {
    const { peers, onFailure, signal } = this.#options
    try {
      await peers.ask(peer, { mode, images: [image], withinMs: 0 }, { signal })
    } catch (error) {
      // It comes with its manifest.
      onFailure(peer, error)
    }
  }
}
