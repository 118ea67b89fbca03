/** What the keep rules work with: the node's store and ledger as a library, the cluster as what supplies it. */
import { type Logger, type Metrics, steadyClock, unlessAborted } from '../src/base/base.ts'
import { siblingTags } from '../src/oci/oci.ts'
import {
  type Keeper,
  type Library,
  openKeeper,
  politeSupply,
  type Supply,
} from '../src/placement/placement.ts'
import type { Elsewhere, Registry } from '../src/registry/registry.ts'
import type { Store } from '../src/store/store.ts'
import type { ClusterMember } from './cluster/cluster.ts'
import type { LocalNode } from './local-node.ts'
import { SiteShares } from './site-shares.ts'

export function libraryOf({ store, names }: Pick<LocalNode, 'store' | 'names'>): Library {
  return {
    findManifest: async (repository, digest) =>
      (await store.links.has(repository, digest)) ? await store.manifests.get(digest) : undefined,
    hasBlob: async (repository, digest) =>
      (await store.links.has(repository, digest)) && (await store.blobs.stat(digest)) !== undefined,
    async absentOf(repository, digest) {
      const absent = (await names.findManifest(repository, digest))?.absent ?? []
      const pushed = await Promise.all(absent.map((each) => names.findManifest(repository, each)))
      return absent.filter((_, index) => pushed[index] === undefined)
    },
    async listSiblings(repository, digest) {
      const found = siblingTags(digest).map(async (tag) => ({
        tag,
        entry: await names.findTag(repository, tag),
      }))
      return (await Promise.all(found)).flatMap(({ tag, entry }) =>
        entry === undefined ? [] : [{ ...entry, tag }],
      )
    },
    listReferrers: (repository, subject, page) => names.listReferrers(repository, subject, page),
  }
}

export interface SupplyOptions {
  /** How long ago an upstream may have been asked what refers to a manifest; default as for a tag. */
  referrersMaxAgeMs?: number
  registry: Registry
  store: Store
  elsewhere: Elsewhere
}

export function supplyOf({ registry, store, elsewhere, referrersMaxAgeMs }: SupplyOptions): Supply {
  return {
    async bringManifest(repository, digest, { signal }) {
      const { bytes } = await registry.pull.getManifest(repository, { digest }, { signal, prefetch: false })
      return bytes
    },
    async refreshTag(repository, tag, { signal }) {
      await registry.pull.statManifest(repository, { tag }, { signal })
    },
    async refreshReferrers(repository, subject, { signal }) {
      const wanted = referrersMaxAgeMs === undefined ? {} : { maxAgeMs: referrersMaxAgeMs }
      await unlessAborted(registry.listing.listReferrers(repository, subject, wanted), signal)
    },
    async refreshSiblings(repository, subject, { signal }) {
      const maxAgeMs = referrersMaxAgeMs ?? 0
      await unlessAborted(registry.listing.refreshSiblings(repository, subject, { maxAgeMs }), signal)
    },
    async bringBlob(repository, digest, { signal }) {
      if (!(await elsewhere.fetchBlob(repository, digest, { signal }))) return false
      await store.links.add(repository, [digest])
      return true
    },
  }
}

/** A freshness shorter than this is for pulls; what is kept need not follow its upstream more closely. */
const leastRefreshMs = 60_000
/** Each manifest of an image is asked about, dozens where a tag is one question. */
const leastReferrersMs = 3_600_000

export interface NodeKeeperOptions {
  node: LocalNode
  registry: Registry
  member: Pick<ClusterMember, 'swarm' | 'exchange' | 'elsewhere'>
  logger: Logger
  metrics: Metrics
}

/** Holds what the node's rules match. */
export function openNodeKeeper({ node, registry, member, logger, metrics }: NodeKeeperOptions): Keeper {
  const { store, names, keepRules: rules } = node
  const { members, peerId: self } = member.swarm
  const shares = new SiteShares({ self, site: node.settings.site, members, clock: steadyClock })
  const keeper = openKeeper({
    names,
    rules,
    isOurs: (rule, digest) => shares.isOurs(rule, digest),
    onShares: (listener) => shares.onShares(listener),
    library: libraryOf(node),
    supply: politeSupply({
      supply: supplyOf({
        registry,
        store,
        elsewhere: member.elsewhere,
        referrersMaxAgeMs: Math.max(leastReferrersMs, node.settings['mirror-ttl']),
      }),
      coming: () => member.exchange.status().transfers.map(({ digest }) => digest),
      clock: steadyClock,
    }),
    // A node by itself may still reach an upstream.
    hasSupply: () => members.peers().length > 0 || node.settings.upstream.length > 0,
    refreshEveryMs: Math.max(leastRefreshMs, node.settings['mirror-ttl']),
    onJoin: (listener) => members.onChange(({ kind }) => kind === 'join' && listener()),
    logger,
    metrics,
  })
  return {
    isWanted: (digest) => keeper.isWanted(digest),
    async [Symbol.asyncDispose]() {
      await keeper[Symbol.asyncDispose]()
      await shares[Symbol.asyncDispose]()
    },
  }
}
