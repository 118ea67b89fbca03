/** Blobs that this node fetches from an upstream: for readers of its own, and as the delegate of other members. */
import { NodeStateError, Semaphore, unlessAborted } from '../base/base.ts'
import type { Origin, OriginDelegation, Wanted } from '../exchange/exchange.ts'
import { type Repository, withoutUpstream } from '../oci/oci.ts'
import { type MemberWords, type Upstream, type Upstreams, wordFor } from '../upstream/upstream.ts'
import type { Delegates } from './delegates.ts'
import { failureOf, refusalOf } from './failures.ts'
import { type Answer, type BlobQuestion, failure, fetched, upstreamName } from './messages.ts'

interface BlobFetchesOptions {
  /** The repository's upstream, where it is one of this node's and its content is for everyone. */
  findUpstream(repository: Repository): Upstream | undefined
  /** Fetches it for the whole cluster, and lets its repository read it here. As `Exchange.fetchFromOrigin`. */
  fetchFromOrigin(wanted: Wanted, origin: Origin, options: { signal: AbortSignal }): Promise<boolean>
}

/** Of what an upstream gives at once, for this node's own readers, however much members ask for. */
const ownBlobs = 2
/** More than all pulls of a few hosts; who is turned away asks another. */
const maxWaiting = 64

/** How the exchange has blobs fetched that no member holds. */
export function blobDelegation(options: {
  upstreams: Upstreams
  words: MemberWords
  delegates: Pick<Delegates, 'fetch'>
  fetches: Pick<BlobFetches, 'own'>
}): OriginDelegation {
  const { upstreams, words, delegates, fetches } = options
  return {
    covers: (repository) => wordFor(upstreamName({ repository }), repository, upstreams, words) !== undefined,
    async fetch({ repository, digest }, { signal, idleMs, fetchFromOrigin }) {
      const question: BlobQuestion = { about: 'blob', repository, digest }
      const said = await delegates.fetch(question, {
        signal,
        idleMs,
        answer: (until) => fetches.own(question, (origin) => fetchFromOrigin(origin, { signal: until })),
      })
      if (said.answer === 'failed') throw refusalOf(question, said)
      return said.answer === 'there'
    },
  }
}

interface Place {
  readonly turn: Promise<Disposable>
  readonly leave: AbortController
  users: number
}

export class BlobFetches {
  readonly #options: BlobFetchesOptions
  readonly #turns = new Map<string, Semaphore>()
  /** Of blobs that members ask for: one, however many they are. */
  readonly #places = new Map<string, Place>()

  constructor(options: BlobFetchesOptions) {
    this.#options = options
  }

  /** For another member. Throws the signal's reason. */
  async answer(question: BlobQuestion, { signal }: { signal: AbortSignal }): Promise<Answer> {
    const upstream = this.#options.findUpstream(question.repository)
    if (upstream === undefined)
      return failure('unable', 'is not mirrored for everyone by the member that was asked')
    return await this.#inPlace(upstream, question, signal, () =>
      this.#fetch(upstream, question, (origin) =>
        this.#options.fetchFromOrigin(question, origin, { signal }),
      ),
    )
  }

  /** For readers of this node, to whom `fetchFromOrigin` gives it. Throws what is wrong with this node. */
  async own(question: BlobQuestion, fetchFromOrigin: (origin: Origin) => Promise<boolean>): Promise<Answer> {
    const upstream = this.#options.findUpstream(question.repository)
    if (upstream === undefined) return failure('unable', 'is not mirrored for everyone by this node')
    return await this.#fetch(upstream, question, fetchFromOrigin, { isOwn: true })
  }

  async #fetch(
    upstream: Upstream,
    question: BlobQuestion,
    fetchFromOrigin: (origin: Origin) => Promise<boolean>,
    { isOwn = false } = {},
  ): Promise<Answer> {
    const { repository, digest } = question
    const there = withoutUpstream(repository)
    try {
      const isThere = await fetchFromOrigin({
        open: (start, options) => upstream.openBlob(there, digest, { start, ...options }),
      })
      return isThere ? fetched(digest) : { answer: 'absent' }
    } catch (error) {
      // What is wrong with this node is for its readers to hear, and tells nothing of the upstream.
      if (isOwn && error instanceof NodeStateError) throw error
      return failureOf(question, error)
    }
  }

  async #inPlace(
    upstream: Upstream,
    { digest }: BlobQuestion,
    signal: AbortSignal,
    work: () => Promise<Answer>,
  ): Promise<Answer> {
    const turns = this.#turns.get(upstream.name) ?? new Semaphore(Math.max(1, upstream.maxBlobs - ownBlobs))
    this.#turns.set(upstream.name, turns)
    const name = `${upstream.name} ${digest}`
    let place = this.#places.get(name)
    if (place === undefined) {
      if (turns.waiting >= maxWaiting)
        return failure('unable', 'is asked by a member that has too much to fetch')
      const leave = new AbortController()
      place = { turn: turns.acquire({ signal: leave.signal }), leave, users: 0 }
      place.turn.catch(() => undefined)
      this.#places.set(name, place)
    }
    place.users++
    try {
      await unlessAborted(place.turn, signal)
      return await work()
    } finally {
      place.users--
      if (place.users === 0) {
        this.#places.delete(name)
        place.leave.abort(new Error('nobody waits for it'))
        place.turn.then(
          (turn) => turn[Symbol.dispose](),
          () => undefined,
        )
      }
    }
  }
}
