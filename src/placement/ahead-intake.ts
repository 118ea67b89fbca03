/**
 * What is brought for others before this node has a claim to it, within bounds of its own: blobs that a member pushes and this node
 * is to own, and what a member wants that reaches nobody who has it.
 */
import { type Clock, CodedError, Semaphore, TokenBucket, unlessAborted } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import type { ImageName } from './backlog.ts'
import type { Roster } from './roster.ts'
import type { CopyAnswer } from './securing.ts'

export interface AheadIntakeOptions {
  roster: Roster
  /** How many members are to hold what is pushed there. */
  copiesOf(repository: Repository): number
  /** An upstream would be asked for it. */
  isMirrored(repository: Repository): boolean
  /** The policy lets the member publish there. */
  mayPush(peer: string, repository: Repository): boolean
  /** From 0 to 1. */
  random(): number
  /** A record names it, or a manifest here that a record names. */
  isNamed(part: ImageName): Promise<boolean>
  /** Resolves to its bytes where it had to come; `undefined` when nobody gives it. */
  bringPart(
    repository: Repository,
    digest: Digest,
    options: { signal: AbortSignal },
  ): Promise<number | undefined>
  /** How many bytes of a blob have come that is on its way. */
  cameOf(digest: Digest): number
  /** Blobs are about to come from the member. */
  getReady(peer: string): void
  clock: Clock
  onFailure(peer: string, error: unknown): void
  /** Aborts when the node stops. */
  signal: AbortSignal
}

const maxAtOnce = 4
const maxWaiting = 256
/** Of these for one member: what it gives slowly leaves room for what others ask. */
const maxAtOnceForOne = 3
const maxWaitingForOne = 32
/** In an hour, whoever asks: what nobody names is collected after its grace. */
const hourlyBytes = 32 * 2 ** 30

/** Where others wait, whoever asks: keys cost nothing. What came stays, and is gone on with when it is asked for again. */
const turnMs = 60_000
const lookMs = 1_000

class TurnOverError extends CodedError {
  readonly code = 'TURN_OVER'
}

/** It waited while others that wait for less had no room. */
class GaveWayError extends CodedError {
  readonly code = 'GAVE_WAY'
}

interface Asked {
  peer: string
  isBrought: boolean
  leaves: AbortController
}

export class AheadIntake {
  readonly #options: AheadIntakeOptions
  readonly #turns = new Semaphore(maxAtOnce)
  readonly #budget: TokenBucket
  /** By member. */
  readonly #asking = new Map<string, { turns: Semaphore; waiting: number }>()
  /** Those that wait, and those that are brought. */
  readonly #waiting = new Set<Asked>()

  constructor(options: AheadIntakeOptions) {
    this.#options = options
    this.#budget = new TokenBucket({
      bytesPerSecond: hourlyBytes / 3600,
      burstBytes: hourlyBytes,
      nowMs: options.clock.now(),
    })
  }

  /** A push begins of which this node may be sent blobs. */
  ready({ repository }: ImageName, peer: string): CopyAnswer {
    const { roster, copiesOf, isMirrored, mayPush, getReady } = this.#options
    if (copiesOf(repository) <= 1 || !roster.offersRoom || isMirrored(repository)) return 'refused'
    if (!mayPush(peer, repository)) return 'refused'
    getReady(peer)
    return 'coming'
  }

  ahead(blob: ImageName, peer: string): CopyAnswer {
    const { copiesOf, mayPush } = this.#options
    if (copiesOf(blob.repository) <= 1 || !mayPush(peer, blob.repository)) return 'refused'
    if (!this.#mayCome(blob, peer)) return 'refused'
    this.#bring(blob, peer).catch((error: unknown) => this.#options.onFailure(peer, error))
    return 'coming'
  }

  async through(
    part: ImageName,
    peer: string,
    { withinMs, signal }: { withinMs: number; signal: AbortSignal },
  ): Promise<CopyAnswer> {
    const { clock, isNamed } = this.#options
    if (!(await isNamed(part)) || !this.#mayCome(part, peer)) return 'refused'
    const over = new AbortController()
    const until = AbortSignal.any([signal, over.signal])
    const bringing = this.#bring(part, peer).then((isHere) => (isHere ? 'held' : 'missing'), missing)
    const late = clock.sleep(withinMs, { signal: until }).then(() => 'coming' as const)
    try {
      return await unlessAborted(Promise.race([bringing, late]), signal)
    } finally {
      over.abort(new Error('it is not waited for any more'))
      for (const left of [bringing, late]) left.catch(() => undefined)
    }
  }

  /** Nobody pushes what is mirrored, and who wants it asks its upstream. */
  #mayCome({ repository }: ImageName, peer: string): boolean {
    const { roster, clock, isMirrored } = this.#options
    const isFull = this.#waiting.size >= maxWaiting && this.#whoGivesWay(peer) === undefined
    const hasRoom =
      !isFull && this.#countOf(peer) < maxWaitingForOne && this.#budget.waitMs(clock.now()) === 0
    return hasRoom && roster.offersRoom && !isMirrored(repository)
  }

  #countOf(peer: string): number {
    return this.#asking.get(peer)?.waiting ?? 0
  }

  /** By chance one of those who wait for most, if that is more than the member does: where keys cost nothing each waits for one. */
  #whoGivesWay(peer: string): Asked | undefined {
    const waiting = [...this.#waiting].filter(({ isBrought }) => !isBrought)
    const most = Math.max(0, ...waiting.map((asked) => this.#countOf(asked.peer)))
    if (most <= this.#countOf(peer)) return undefined
    const those = waiting.filter((asked) => this.#countOf(asked.peer) === most)
    return those[Math.floor(this.#options.random() * those.length)]
  }

  async #bring({ repository, digest }: ImageName, peer: string): Promise<boolean> {
    const { bringPart, clock, signal } = this.#options
    const gives = this.#waiting.size >= maxWaiting ? this.#whoGivesWay(peer) : undefined
    if (gives !== undefined) {
      this.#leave(gives)
      gives.leaves.abort(new GaveWayError(`${gives.peer} has more to be brought than others`))
    }
    const own = this.#asking.get(peer) ?? { turns: new Semaphore(maxAtOnceForOne), waiting: 0 }
    this.#asking.set(peer, own)
    own.waiting++
    const asked: Asked = { peer, isBrought: false, leaves: new AbortController() }
    this.#waiting.add(asked)
    try {
      using _own = await own.turns.acquire(asked.leaves)
      using _turn = await this.#turns.acquire(asked.leaves)
      asked.isBrought = true
      // What came before its turn may have used up the rest.
      if (this.#budget.waitMs(clock.now()) > 0) return false
      const bytes = await this.#counted(digest, signal, (options) => bringPart(repository, digest, options))
      return bytes !== undefined
    } finally {
      this.#leave(asked)
    }
  }

  #leave(asked: Asked): void {
    const own = this.#asking.get(asked.peer)
    if (this.#waiting.delete(asked) && own !== undefined && --own.waiting === 0)
      this.#asking.delete(asked.peer)
  }

  /** What comes of it is charged as it comes, whether it is had in the end or not. */
  async #counted(
    digest: Digest,
    signal: AbortSignal,
    bring: (options: { signal: AbortSignal }) => Promise<number | undefined>,
  ): Promise<number | undefined> {
    const { clock, cameOf } = this.#options
    const [turn, over] = [new AbortController(), new AbortController()]
    const untilMs = clock.now() + turnMs
    let countedBytes = 0
    const count = (bytes: number): void => {
      this.#budget.take(Math.max(0, bytes - countedBytes), clock.now())
      countedBytes = Math.max(countedBytes, bytes)
    }
    const watch = async (): Promise<void> => {
      while (!turn.signal.aborted) {
        await clock.sleep(lookMs, { signal: over.signal })
        count(cameOf(digest))
        if (clock.now() >= untilMs && this.#turns.waiting > 0)
          turn.abort(new TurnOverError(`${digest} did not come in a minute, and others wait`))
      }
    }
    watch().catch((error: unknown) => {
      if (!over.signal.aborted) throw error
    })
    try {
      const came = await bring({ signal: AbortSignal.any([signal, turn.signal]) })
      count(came ?? 0)
      return came
    } finally {
      over.abort(new Error('it has come, or does not'))
    }
  }
}

/** Whatever keeps it from coming here. */
function missing(error: unknown): 'missing' {
  if (error instanceof CodedError) return 'missing'
  throw error
}
