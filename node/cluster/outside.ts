/** Who brings a blob that no member holds: the first in rank of those that reach its upstream, the next when that one fails. */
import type { Clock, Logger } from '../../src/base/base.ts'
import type { Outside, Wanted } from '../../src/exchange/exchange.ts'
import { type Repository, upstreamOf } from '../../src/oci/oci.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import { rankMembers, type Upstreams, UpstreamUnavailableError } from '../../src/upstream/upstream.ts'
import { askToBring } from './bring-asking.ts'
import type { Reaching } from './reaching.ts'
import { asUnavailable, originOf, sharedUpstream } from './upstream-origin.ts'

export interface OutsideOptions {
  swarm: Pick<Swarm, 'open' | 'peerId'> & { members: Pick<Swarm['members'], 'reaching'> }
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
  const isMirrored = (name: string): boolean =>
    // A member's word makes a mirror only of what looks like a host.
    upstreams.find(name) !== undefined || (name.includes('.') && swarm.members.reaching(name).length > 0)

  function ranked(name: string, { digest }: Wanted): string[] {
    const members = swarm.members.reaching(name)
    // Alone it tries in spite of what it knows: it may have changed.
    const isSelfIn = reaching.names().includes(name) || (members.length === 0 && isConfigured(name))
    return rankMembers(digest, isSelfIn ? [...members, swarm.peerId] : members)
  }

  const isConfigured = (name: string): boolean => upstreams.find(name)?.isShared === true

  async function bringBy(member: string, name: string, wanted: Wanted, how: BringOptions): Promise<boolean> {
    if (member !== swarm.peerId) return await askToBring(swarm, member, { wanted, upstream: name, ...how })
    const upstream = sharedUpstream(upstreams, wanted)
    if (upstream === undefined) return false
    return await how.lead(originOf(upstream, wanted), how)
  }

  return {
    has(repository: Repository) {
      const name = upstreamOf(repository)
      return name !== undefined && isMirrored(name)
    },

    async bring(wanted, { signal, lead, hasBegun, onProgress }) {
      const name = upstreamOf(wanted.repository) ?? ''
      const counts = { absent: 0, wrong: 0 }
      const tried = new Set<string>()
      const late = new AbortController()
      const over = new AbortController()
      const either = AbortSignal.any([signal, late.signal])
      let failure = new UpstreamUnavailableError(
        name,
        'unreachable',
        'is reached by no member of the cluster',
      )
      const timing = async (): Promise<void> => {
        await clock.sleep(missMs, { signal: over.signal })
        if (!hasBegun()) late.abort(new UpstreamUnavailableError(name, 'unreachable', 'does not answer'))
      }
      timing().catch(() => undefined)
      try {
        for (;;) {
          const member = ranked(name, wanted).find((candidate) => !tried.has(candidate))
          if (member === undefined) {
            if (!hasBegun()) throw failure
            await clock.sleep(againMs, { signal: either })
            tried.clear()
            continue
          }
          tried.add(member)
          try {
            if (await bringBy(member, name, wanted, { signal: either, lead, onProgress })) return true
            if (++counts.absent >= maxAbsent || ranked(name, wanted).length === 1) return false
          } catch (error) {
            either.throwIfAborted()
            failure = failureOf(name, error)
            logger.info(
              { err: error, member, digest: wanted.digest, upstream: name },
              'a member could not bring a blob',
            )
            if (member === swarm.peerId) reaching.noteFailure(name)
            if (failure.trouble === 'wrong' && ++counts.wrong >= maxWrong) throw failure
          }
        }
      } finally {
        over.abort(new Error('it is over'))
      }
    },
  }
}

type BringOptions = Pick<Parameters<Outside['bring']>[1], 'signal' | 'lead' | 'onProgress'>

/** Whatever stopped a member: what the client hears is about the upstream. A full disk here is about this node. */
function failureOf(name: string, error: unknown): UpstreamUnavailableError {
  const failure = asUnavailable(name, error)
  if (failure !== undefined) return failure
  if (error instanceof Error && 'code' in error && error.code === 'STORE_FULL') throw error
  const reason = error instanceof Error ? error.message : String(error)
  return new UpstreamUnavailableError(name, 'unreachable', `could not be asked by a member: ${reason}`, {
    cause: error,
  })
}
