/** Stands in for the rest of the cluster until it can be reached: the registry serves before libp2p is even loaded. */
import { type Elsewhere, nowhere } from '../../src/registry/registry.ts'

export interface LateElsewhere extends Elsewhere {
  /** From now on questions go there. */
  arrive(elsewhere: Elsewhere): void
}

export function lateElsewhere(): LateElsewhere {
  let current = nowhere
  return {
    askForTag: (...question) => current.askForTag(...question),
    askForManifest: (...question) => current.askForManifest(...question),
    fetchManifest: (...question) => current.fetchManifest(...question),
    findBlob: (...question) => current.findBlob(...question),
    openBlob: (...question) => current.openBlob(...question),
    fetchBlob: (...question) => current.fetchBlob(...question),
    prefetch: (repository, digests) => current.prefetch(repository, digests),
    announce: (digests) => current.announce(digests),
    withdraw: (digests) => current.withdraw(digests),
    arrive(elsewhere) {
      current = elsewhere
    },
  }
}
