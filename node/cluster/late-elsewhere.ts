/** Stands in for the rest of the cluster until it can be reached: the registry serves before libp2p is even loaded. */
import { type Clock, untilOrAfter } from '../../src/base/base.ts'
import { type Elsewhere, nowhere } from '../../src/registry/registry.ts'

export interface LateElsewhere extends Elsewhere {
  /** From now on questions go there. */
  arrive(elsewhere: Elsewhere): void
}

/** Longer than a busy host takes to load libp2p. */
const arriveWithinMs = 5_000

/** What would be said not to be there waits a while for those who may have it. A push asks for its layers, and is not kept waiting. */
export function lateElsewhere(clock: Clock): LateElsewhere {
  let current: Elsewhere | undefined
  const arrived = Promise.withResolvers<void>()
  const now = (): Elsewhere => current ?? nowhere

  async function inTime(signal?: AbortSignal): Promise<Elsewhere> {
    if (current === undefined) {
      const { signal: never } = new AbortController()
      await untilOrAfter(arrived.promise, arriveWithinMs, { clock, signal: signal ?? never })
    }
    return now()
  }

  return {
    async askForTag(repository, tag, options) {
      const elsewhere = await inTime(options?.signal)
      return elsewhere === nowhere ? 'silence' : elsewhere.askForTag(repository, tag, options)
    },
    async askForManifest(repository, digest, options) {
      const elsewhere = await inTime(options?.signal)
      return elsewhere === nowhere ? 'silence' : elsewhere.askForManifest(repository, digest, options)
    },
    fetchManifest: async (repository, digest, options) =>
      (await inTime(options?.signal)).fetchManifest(repository, digest, options),
    findBlob: (...question) => now().findBlob(...question),
    openBlob: async (repository, digest, options) =>
      (await inTime(options?.signal)).openBlob(repository, digest, options),
    fetchBlob: (...question) => now().fetchBlob(...question),
    prefetch: (repository, digests) => now().prefetch(repository, digests),
    announce: (digests) => now().announce(digests),
    withdraw: (digests) => now().withdraw(digests),
    arrive(elsewhere) {
      current = elsewhere
      arrived.resolve()
    },
  }
}
