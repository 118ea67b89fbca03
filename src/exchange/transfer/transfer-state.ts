/** One blob on its way here, as all of its transfer's parts see it: where it stands, what has come, its readers, and whoever waits for news. */
import type { Digest, Repository } from '../../oci/oci.ts'
import { BlobUnavailableError, BlobUnprovenError } from '../errors.ts'
import type { Layout } from '../protocol/piece-size.ts'
import type { Wanted } from '../protocol/wanted.ts'
import type { Attempt } from './attempt.ts'
import type { Interest } from './interest.ts'
import type { OriginPieces } from './origin-pieces.ts'

export type State =
  /** No list is gone by: members are asked for one, or it begins to come from the origin. */
  | { readonly name: 'searching' }
  /** By a list that may turn out to be wrong; others are tried beside it. */
  | { readonly name: 'downloading'; readonly attempt: Attempt }
  /** All of it is here, and the whole is hashed. */
  | { readonly name: 'proving'; readonly attempt: Attempt }
  /** It is in the store. */
  | { readonly name: 'proven' }
  | { readonly name: 'failed'; readonly error: Error }

/** A reader of a transfer, as the transfer knows it. */
export interface Follower {
  /** The first piece that it read, and the one that it waits for or reads. */
  readonly from: number
  piece: number
  /** Set when what it has read is not the blob. */
  failure: Error | undefined
  /** Ends its waiting. */
  wake(): void
}

/** No seeder hashes less. */
const leastListedBytesPerMs = 4096

export class TransferState {
  readonly wanted: Wanted
  /** On whose behalf a member let this node have it. */
  readonly repositories: Set<Repository>
  /** Someone here wants it: where no member has it, it is brought from the origin. */
  isWanted = false
  /** What this node fetches from the origin now. */
  origin: OriginPieces | undefined
  /** When something came last, or was first waited for. */
  movedMs: number
  #awaitedMs: number
  #listedBytes = 0
  /** What is here of it from before is being hashed. */
  isOpening = false
  /** How long the last proof took. */
  proof: { startMs: number; endMs: number } | undefined
  /** By piece, of those that came since it began. */
  readonly #givers = new Map<number, string>()
  readonly #followers = new Set<Follower>()
  readonly #interests = new Set<Interest>()
  readonly #found = Promise.withResolvers<boolean>()
  readonly #ready = Promise.withResolvers<Layout>()
  readonly #done = Promise.withResolvers<void>()
  #now: State = { name: 'searching' }
  #change = Promise.withResolvers<void>()
  /** As readers were told. */
  #layout: Layout | undefined

  constructor(wanted: Wanted, nowMs: number) {
    this.wanted = wanted
    this.repositories = new Set([wanted.repository])
    this.movedMs = nowMs
    this.#awaitedMs = nowMs
    // Whoever waits hears of a failure; when nobody does, it is of no account.
    for (const { promise } of [this.#found, this.#ready, this.#done]) promise.catch(() => undefined)
  }

  get digest(): Digest {
    return this.wanted.digest
  }

  get now(): State {
    return this.#now
  }

  /** The download under way, until its blob is proven. */
  get attempt(): Attempt | undefined {
    return this.#now.name === 'downloading' || this.#now.name === 'proving' ? this.#now.attempt : undefined
  }

  get isProven(): boolean {
    return this.#now.name === 'proven'
  }

  get failure(): Error | undefined {
    return this.#now.name === 'failed' ? this.#now.error : undefined
  }

  /** Whether this node itself has to read what is here, and nobody is late. */
  get isReading(): boolean {
    return this.isOpening || this.#now.name === 'proving'
  }

  /** Whether not a byte has come of what is waited for. */
  get isSilent(): boolean {
    return this.movedMs === this.#awaitedMs
  }

  /**
   * The hashes of so much of it are known: who hashes it still has got on, which puts off giving up by as long as a slow one takes
   * for that. What several tell counts once.
   */
  listed(bytes: number, nowMs: number): void {
    if (bytes <= this.#listedBytes) return
    const { isSilent } = this
    this.movedMs = Math.min(nowMs, this.movedMs + (bytes - this.#listedBytes) / leastListedBytesPerMs)
    this.#listedBytes = bytes
    if (isSilent) this.#awaitedMs = this.movedMs
  }

  /** Nobody waits for anything: what is late is counted from here on. */
  rest(nowMs: number): void {
    this.#awaitedMs = nowMs
    this.movedMs = nowMs
  }

  /** What is proven, or has failed, stays that. */
  go(state: State): void {
    if (this.isProven || this.failure !== undefined) return
    this.#now = state
    if (state.name === 'proven') this.#done.resolve()
    if (state.name === 'failed') {
      for (const { reject } of [this.#found, this.#ready, this.#done]) reject(state.error)
    }
    this.#wakeAll()
    this.news()
  }

  /** Returns the reason: the first there was. */
  fail(error: unknown): Error {
    const failure = error instanceof Error ? error : new BlobUnavailableError(this.digest, String(error))
    this.go({ name: 'failed', error: failure })
    return this.failure ?? failure
  }

  /** Whether a member holds any of it, or it comes from the origin: known within about six seconds. Rejects when that failed. */
  get found(): Promise<boolean> {
    return this.#found.promise
  }

  /** Only the first time counts. */
  find(isFound: boolean): void {
    this.#found.resolve(isFound)
  }

  /** Resolves when something of it can be read. */
  get ready(): Promise<Layout> {
    // The first to tell the size may have been wrong.
    return this.#layout === undefined ? this.#ready.promise : Promise.resolve(this.#layout)
  }

  /** Resolves when it is in the store. */
  get done(): Promise<void> {
    return this.#done.promise
  }

  /** As far as anyone can say. */
  get layout(): Layout | undefined {
    return this.attempt?.candidate.list.layout ?? this.#layout
  }

  /** It can be read, and is cut like this. */
  show(layout: Layout): void {
    // Whoever began to read was told another size.
    if (this.#layout !== undefined && this.#layout.size !== layout.size) {
      this.disappoint(new BlobUnprovenError(this.digest))
    }
    this.#layout = layout
    this.#ready.resolve(layout)
    this.#found.resolve(true)
  }

  /** The piece is about to be written: it can be read before it is `gained`. */
  writes(piece: number, giver: string): void {
    this.#givers.set(piece, giver)
  }

  /** Who gave the piece; `undefined` when it was here before, or is not here. */
  giverOf(piece: number): string | undefined {
    return this.#givers.get(piece)
  }

  /** Of all that want it. */
  get interests(): Iterable<Interest> {
    return this.#interests
  }

  want(interest: Interest): void {
    this.#interests.add(interest)
    this.attempt?.want(interest, 1)
  }

  unwant(interest: Interest): void {
    if (this.#interests.delete(interest)) this.attempt?.want(interest, -1)
  }

  follow(piece: number): Follower {
    const follower = { from: piece, piece, failure: undefined, wake: () => undefined }
    this.#followers.add(follower)
    this.followed()
    return follower
  }

  unfollow(follower: Follower): void {
    if (this.#followers.delete(follower)) this.followed()
  }

  /** A follower has moved. */
  followed(): void {
    this.attempt?.readers(this.pieces())
  }

  /** Where the followers are. */
  pieces(): number[] {
    return [...this.#followers].map(({ piece }) => piece)
  }

  /** Resolves when the follower's piece, or the one before it, has come, or all is otherwise. */
  woken(follower: Follower): Promise<void> {
    return new Promise((resolve) => {
      follower.wake = resolve
    })
  }

  /** The piece is here. */
  gained(piece: number): void {
    for (const follower of this.#followers) {
      if (follower.piece === piece || follower.piece === piece + 1) follower.wake()
    }
  }

  /** What the followers have read may be another blob; with `isWrong`, those that read no such piece have read what is right. */
  disappoint(error: Error, isWrong: (piece: number) => boolean = () => true): void {
    for (const follower of this.#followers) {
      for (let piece = follower.from; piece <= follower.piece; piece++) {
        if (isWrong(piece)) follower.failure = error
      }
    }
    this.#wakeAll()
    this.news()
  }

  /** Resolves when another state is reached, or something is heard of what members hold and of their lists. */
  get change(): Promise<void> {
    return this.#change.promise
  }

  news(): void {
    const { resolve } = this.#change
    this.#change = Promise.withResolvers()
    resolve()
  }

  #wakeAll(): void {
    for (const follower of this.#followers) follower.wake()
  }
}
