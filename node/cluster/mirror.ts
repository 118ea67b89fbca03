/** The mirror over this node's store, ledger and upstreams: alone at first, and with the members once the node has joined them. */
import { type Logger, steadyClock, wallClock } from '../../src/base/base.ts'
import { type OpenMirror, openMirror } from '../../src/mirror/mirror.ts'
import { type Elsewhere, keepManifest } from '../../src/registry/registry.ts'
import type { Upstreams } from '../../src/upstream/upstream.ts'
import { peerIdOf } from '../../src/wire/wire.ts'
import type { LocalNode } from '../local-node.ts'
import { clusterMirrorPeers, lateMirrorPeers, type MirrorPeersOptions, serveMirror } from './mirror-peers.ts'

interface NodeMirrorOptions {
  upstreams: Upstreams
  elsewhere: Elsewhere
  logger: Logger
}

export interface NodeMirror extends OpenMirror {
  /** From now on the members are asked, and answered. */
  join(cluster: Pick<MirrorPeersOptions, 'swarm' | 'elsewhere' | 'exchange'>): Promise<void>
}

export function openNodeMirror(
  { store, names, settings, membership }: LocalNode,
  { upstreams, elsewhere, logger }: NodeMirrorOptions,
): NodeMirror {
  const peers = lateMirrorPeers(peerIdOf(membership.identity.publicKey))
  const mirror = openMirror({
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
  return {
    ...mirror,
    async join(cluster) {
      peers.arrive(clusterMirrorPeers({ ...cluster, names, links: store.links, clock: steadyClock }))
      await serveMirror(cluster.swarm, mirror, steadyClock)
    },
  }
}
