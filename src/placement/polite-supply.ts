/** A supply that stands back: what clients wait for goes first, as long as that does not starve what is to be kept. */
import type { Clock } from '../base/base.ts'
import type { Digest } from '../oci/oci.ts'
import type { Supply } from './image.ts'

export interface PoliteSupplyOptions {
  supply: Supply
  /** Blobs that are on their way here, for whomever. */
  coming(): Iterable<Digest>
  clock: Clock
}

const lookEveryMs = 250
/** A node that always pulls has to become complete as well. */
const maxWaitMs = 15_000

export function politeSupply({ supply, coming, clock }: PoliteSupplyOptions): Supply {
  const own = new Set<Digest>()

  const othersCome = (digest: Digest): boolean => {
    // One that comes already may as well be waited for here.
    const others = [...coming()]
    return !others.includes(digest) && others.some((other) => !own.has(other))
  }

  return {
    bringManifest: (repository, digest, options) => supply.bringManifest(repository, digest, options),
    refreshTag: (repository, tag, options) => supply.refreshTag(repository, tag, options),
    refreshReferrers: (repository, subject, options) => supply.refreshReferrers(repository, subject, options),
    refreshSiblings: (repository, digest, options) => supply.refreshSiblings(repository, digest, options),
    async bringBlob(repository, digest, options) {
      const untilMs = clock.now() + maxWaitMs
      while (othersCome(digest) && clock.now() < untilMs) await clock.sleep(lookEveryMs, options)
      own.add(digest)
      try {
        return await supply.bringBlob(repository, digest, options)
      } finally {
        own.delete(digest)
      }
    },
  }
}
