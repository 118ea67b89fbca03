/** What those who wait for a transfer are told: whether there is such a blob, how it is cut, what changes, and how it ended. */
import type { Digest } from '../../oci/oci.ts'
import { BlobUnavailableError, BlobUnprovenError } from '../errors.ts'
import type { Layout } from '../protocol/piece-size.ts'

/** A reader of a transfer, as the transfer knows it. */
export interface Follower {
  /** The first piece that it read, and the one that it waits for or reads. */
  readonly from: number
  piece: number
  /** Set when what it has read is not the blob. */
  failure: Error | undefined
}

export class TransferState {
  readonly #digest: Digest
  readonly #followers = new Set<Follower>()
  readonly #found = Promise.withResolvers<boolean>()
  readonly #ready = Promise.withResolvers<Layout>()
  readonly #done = Promise.withResolvers<void>()
  #change = Promise.withResolvers<void>()
  #layout: Layout | undefined
  #failure: Error | undefined

  constructor(digest: Digest) {
    this.#digest = digest
    // Whoever waits hears of a failure; when nobody does, it is of no account.
    for (const { promise } of [this.#found, this.#ready, this.#done]) promise.catch(() => undefined)
  }

  get found(): Promise<boolean> {
    return this.#found.promise
  }

  get ready(): Promise<Layout> {
    // The first to tell the size may have been wrong.
    return this.#layout === undefined ? this.#ready.promise : Promise.resolve(this.#layout)
  }

  get done(): Promise<void> {
    return this.#done.promise
  }

  get change(): Promise<void> {
    return this.#change.promise
  }

  get layout(): Layout | undefined {
    return this.#layout
  }

  get failure(): Error | undefined {
    return this.#failure
  }

  get isFollowed(): boolean {
    return this.#followers.size > 0
  }

  follow(piece: number): Follower {
    const follower = { from: piece, piece, failure: undefined }
    this.#followers.add(follower)
    return follower
  }

  /** Returns whether it was one. */
  unfollow(follower: Follower): boolean {
    return this.#followers.delete(follower)
  }

  /** Where the followers are. */
  pieces(): number[] {
    return [...this.#followers].map(({ piece }) => piece)
  }

  /** Only the first time counts. */
  find(isFound: boolean): void {
    this.#found.resolve(isFound)
  }

  /** It can be read, and is cut like this. */
  begin(layout: Layout): void {
    // Whoever began to read was told another size.
    if (this.#layout !== undefined && this.#layout.size !== layout.size) {
      this.disappoint(new BlobUnprovenError(this.#digest))
    }
    this.#layout = layout
    this.#ready.resolve(layout)
    this.#found.resolve(true)
  }

  finish(): void {
    this.#done.resolve()
  }

  /** Returns the reason: the first there was. */
  fail(error: unknown): Error {
    const failure = error instanceof Error ? error : new BlobUnavailableError(this.#digest, String(error))
    this.#failure ??= failure
    for (const { reject } of [this.#found, this.#ready, this.#done]) reject(failure)
    this.news()
    return failure
  }

  /** What the followers have read may be another blob; with `isWrong`, those that read no such piece have read what is right. */
  disappoint(error: Error, isWrong: (piece: number) => boolean = () => true): void {
    for (const follower of this.#followers) {
      for (let piece = follower.from; piece <= follower.piece; piece++) {
        if (isWrong(piece)) follower.failure = error
      }
    }
    this.news()
  }

  /** Who waits for anything has to look again. */
  news(): void {
    const { resolve } = this.#change
    this.#change = Promise.withResolvers()
    resolve()
  }
}
