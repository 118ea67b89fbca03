/** The mirror over this node's store, ledger and upstreams. */
import { type Logger, steadyClock, wallClock } from '../../src/base/base.ts'
import { type MirrorPeers, type OpenMirror, openMirror } from '../../src/mirror/mirror.ts'
import { type Elsewhere, keepManifest } from '../../src/registry/registry.ts'
import type { Upstreams } from '../../src/upstream/upstream.ts'
import type { LocalNode } from '../local-node.ts'

interface NodeMirrorOptions {
  upstreams: Upstreams
  peers: MirrorPeers
  elsewhere: Elsewhere
  logger: Logger
}

export function openNodeMirror(
  { store, names, settings }: LocalNode,
  { upstreams, peers, elsewhere, logger }: NodeMirrorOptions,
): OpenMirror {
  return openMirror({
    upstreams,
    peers,
    names,
    holds: async (digest) => (await store.manifests.get(digest)) !== undefined,
    async keep(repository, manifest) {
      await keepManifest({ store, elsewhere }, repository, manifest)
    },
    ttlMs: settings['mirror-ttl'],
    bareNames: !settings['no-bare-names'],
    clock: steadyClock,
    wall: wallClock,
    logger,
  })
}
