/** Who brings a blob that no member holds: the first in rank of those that reach its upstream, the next when that one fails. */
import type { Clock, Logger } from '../../src/base/base.ts'
import type { Outside, Wanted } from '../../src/exchange/exchange.ts'
import { type Repository, upstreamOf } from '../../src/oci/oci.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import {
  type MemberWords,
  rankMembers,
  type Upstreams,
  UpstreamUnavailableError,
  wordFor,
} from '../../src/upstream/upstream.ts'
import { askToBring, type BringHost } from './bring-asking.ts'
import type { Reaching } from './reaching.ts'
import { asUnavailable, originOf, sharedUpstream } from './upstream-origin.ts'

export interface OutsideOptions extends MemberWords {
  swarm: BringHost & { readonly peerId: string; members: Pick<Swarm['members'], 'reaching'> }
  upstreams: Upstreams
  reaching: Reaching
  clock: Clock
  logger: Logger
}

/** Nobody waits longer than this to hear that nothing of a blob is to be had. */
const missMs = 4_500
/** An upstream that has no such blob is asked by one member more, which may have other credentials. */
const maxAbsent = 2
/** And bytes that are not the blob's are fetched by one member more, which may have another line. */
const maxWrong = 2
/** Before all are asked again about the rest of what has begun to come. */
const againMs = 1_000

export function openOutside(options: OutsideOptions): Outside {
  const { swarm, upstreams, reaching, clock, logger } = options

  function ranked(name: string, { digest }: Wanted): string[] {
    const members = swarm.members.reaching(name)
    // Alone it tries in spite of what it knows: it may have changed.
    const isSelfIn = reaching.names().includes(name) || (members.length === 0 && isConfigured(name))
    return rankMembers(digest, isSelfIn ? [...members, swarm.peerId] : members)
  }

  const isConfigured = (name: string): boolean => upstreams.find(name)?.isShared === true

  async function bringBy(member: string, name: string, wanted: Wanted, how: BringOptions): Promise<boolean> {
    if (member !== swarm.peerId) {
      const { signal } = how
      return await askToBring(swarm, member, { wanted, upstream: name, signal })
    }
    const upstream = sharedUpstream(upstreams, wanted)
    if (upstream === undefined) return false
    const { signal, onProgress } = how
    return await how.lead(originOf(upstream, wanted), { signal, onProgress })
  }

  return {
    has(repository: Repository) {
      const name = upstreamOf(repository)
      return name !== undefined && wordFor(name, repository, upstreams, options) !== undefined
    },

    async bring(wanted, { signal, hasBegun, ...ways }) {
      const name = upstreamOf(wanted.repository) ?? ''
      const course = new Course(name, hasBegun)
      const late = new AbortController()
      const over = new AbortController()
      const either = AbortSignal.any([signal, late.signal])
      const limiting = clock.sleep(missMs, { signal: over.signal }).then(
        () => {
          if (!hasBegun()) late.abort(course.failure ?? unavailable(name, 'does not answer'))
        },
        (error: unknown) => {
          if (!over.signal.aborted) throw error
        },
      )
      try {
        for (;;) {
          const member = ranked(name, wanted).find((candidate) => !course.tried.has(candidate))
          if (member === undefined) {
            if (!hasBegun())
              throw course.failure ?? unavailable(name, 'is reached by no member of the cluster')
            await clock.sleep(againMs, { signal: either })
            course.tried.clear()
            continue
          }
          course.tried.add(member)
          try {
            if (await bringBy(member, name, wanted, { signal: either, ...ways })) return true
            if (course.isAbsent(ranked(name, wanted).length)) return false
          } catch (error) {
            either.throwIfAborted()
            const facts = { err: error, member, digest: wanted.digest, upstream: name }
            logger.info(facts, 'a member could not bring a blob')
            if (member === swarm.peerId) reaching.noteFailure(name)
            course.fail(error)
          }
        }
      } finally {
        over.abort(new Error('it is over'))
        await limiting
      }
    },
  }
}

/** What came of asking one member after the other. */
class Course {
  readonly tried = new Set<string>()
  readonly #upstream: string
  readonly #hasBegun: () => boolean
  #failure: UpstreamUnavailableError | undefined
  #absent = 0
  #wrong = 0

  constructor(upstream: string, hasBegun: () => boolean) {
    this.#upstream = upstream
    this.#hasBegun = hasBegun
  }

  /** The last one. */
  get failure(): UpstreamUnavailableError | undefined {
    return this.#failure
  }

  /** The upstream has no such blob, it says; whether that is to be believed when so many members could ask. */
  isAbsent(members: number): boolean {
    return ++this.#absent >= Math.min(maxAbsent, members)
  }

  /** Throws what no other member would do better. */
  fail(error: unknown): void {
    this.#failure = failureOf(this.#upstream, error)
    const { trouble } = this.#failure
    if (trouble === 'wrong' && ++this.#wrong >= maxWrong) throw this.#failure
    // It asks to wait, and another member would only add to what it has too much of.
    if (trouble === 'paused' && !this.#hasBegun()) throw this.#failure
  }
}

type BringOptions = Pick<Parameters<Outside['bring']>[1], 'signal' | 'lead' | 'onProgress'>

/** Whatever stopped a member: what the client hears is about the upstream. A full disk here is about this node. */
function failureOf(name: string, error: unknown): UpstreamUnavailableError {
  const failure = asUnavailable(name, error)
  if (failure !== undefined) return failure
  if (error instanceof Error && 'code' in error && error.code === 'STORE_FULL') throw error
  const reason = error instanceof Error ? error.message : String(error)
  return unavailable(name, `could not be asked by a member: ${reason}`, error)
}

function unavailable(name: string, reason: string, cause?: unknown): UpstreamUnavailableError {
  return new UpstreamUnavailableError(name, 'unreachable', reason, { cause })
}
