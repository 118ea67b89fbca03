/** The mirror of a node that is by itself. */
import { type Clock, silentLogger, steadyClock } from '../../src/base/base.ts'
import { type MirrorPeers, type OpenMirror, openMirror } from '../../src/mirror/mirror.ts'
import type { Ledger } from '../../src/records/records.ts'
import { keepManifest, nowhere } from '../../src/registry/registry.ts'
import type { Store } from '../../src/store/store.ts'
import type { Upstream } from '../../src/upstream/upstream.ts'
import { upstreamsOf } from './fake-upstream.ts'

const nobody: MirrorPeers = {
  self: 'alone',
  wordFor: () => undefined,
  reaching: () => [],
  ask: async (peer) => {
    throw new Error(`there is no ${peer}`)
  },
  accept: async () => undefined,
  askForTag: async () => undefined,
  fetchFromOrigin: async () => false,
}

interface AloneOptions {
  upstreams: Upstream[]
  store: Store
  names: Ledger
  ttlMs?: number
  bareNames?: boolean
  clock?: Clock
}

export function openMirrorAlone(options: AloneOptions): OpenMirror {
  const { upstreams, store, names, ttlMs = 300_000, bareNames = true, clock = steadyClock } = options
  return openMirror({
    upstreams: upstreamsOf(...upstreams),
    peers: nobody,
    names,
    holds: async (digest) => (await store.manifests.get(digest)) !== undefined,
    keep: async (repository, manifest) => {
      await keepManifest({ store, elsewhere: nowhere }, repository, manifest)
    },
    ttlMs,
    bareNames,
    clock,
    logger: silentLogger,
  })
}
