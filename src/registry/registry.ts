/** What HTTP may ask for: pull, push, delete, list, referrers and search, over injected collaborators. */
import { type Clock, type Logger, type Metrics, noMetrics, silentLogger, steadyClock } from '../base/base.ts'
import type { Digest, Repository } from '../oci/oci.ts'
import type { Names } from '../records/records.ts'
import type { Store } from '../store/store.ts'
import { createDeletion, type Deletion } from './deletion.ts'
import { type Elsewhere, nowhere } from './elsewhere.ts'
import { createListing, type Listing } from './listing.ts'
import { ManifestCache } from './manifest-cache.ts'
import { type Mirror, noMirror } from './mirror.ts'
import { createNaming, type Naming } from './naming.ts'
import { createOutside, type Outside } from './outside.ts'
import { OwnNames } from './own-names.ts'
import { createPull, type Pull } from './pull.ts'
import { createPush, type Push } from './push.ts'
import { Quotas, type QuotasFor } from './quotas.ts'
import { inClientsWords } from './refusal.ts'

export { type Deletion, letGo } from './deletion.ts'
export { type Asked, type Elsewhere, nowhere } from './elsewhere.ts'
export { keepManifest } from './fetched-manifest.ts'
export { findHome } from './home.ts'
export { imagePartsOf } from './image-parts.ts'
export type { Listing, RepositoryPage, SearchResult } from './listing.ts'
export {
  type Mirror,
  type MirroredReferrers,
  type MirroredTag,
  noMirror,
  type Staleness,
} from './mirror.ts'
export type { AskedName, NamedRepository, Naming } from './naming.ts'
export type { BlobContent, ManifestContent, Pull } from './pull.ts'
export type { Push, PushedManifest, StartedUpload } from './push.ts'
export type { Quota, QuotasFor } from './quotas.ts'
export { expiredTags, type Retention, type WrittenTag } from './retention.ts'

export interface Registry {
  readonly naming: Naming
  readonly pull: Pull
  readonly push: Push
  readonly deletion: Deletion
  readonly listing: Listing
  readonly outside: Outside
  [Symbol.dispose](): void
}

export type Sparse = 'none' | 'indexes' | 'all'

export interface RegistryOptions {
  store: Store
  names: Names
  /** The rest of the cluster; a node by itself has none. */
  elsewhere?: Elsewhere
  /** Registries outside the cluster; most clusters start with none. */
  mirror?: Mirror
  /** Which manifests may refer to what is missing; default indexes. */
  sparse?: Sparse
  /** False refuses every deletion, by tag and by digest alike (CVE-2026-41888). */
  allowDelete?: boolean
  /** What the policy lets repositories have; default all that there is room for. */
  quotasFor?: QuotasFor
  /** Waits for copies of what was pushed; default nothing is waited for. */
  secured?: Secured
  /** Has others bring what is being pushed; default nobody does. */
  ahead?: Ahead
  /** Memory for manifests that were read last; default 32 MiB. */
  manifestBytes?: number
  logger?: Logger
  metrics?: Metrics
  clock?: Clock
}

/**
 * Resolves once so many members hold an image that was pushed here, or after a bounded time, with how many do. Without `copies` it is
 * what the node was told; `undefined` where nothing is waited for.
 */
export type Secured = (
  image: { repository: Repository; digest: Digest },
  options: { copies: number | undefined; signal: AbortSignal },
) => Promise<{ held: number; wanted: number } | undefined>

export interface Ahead {
  /** The push of a blob begins. Returns at once. */
  begin(repository: Repository): void
  /** A blob is here whose manifest is still to come. Returns at once. */
  send(repository: Repository, digest: Digest, bytes: number): void
  /** By which the owners of what was sent are ranked, once for each push. */
  take(repository: Repository): Digest | undefined
}

/** The collaborators with their defaults filled in, as the parts of the registry get them. */
export type Collaborators = Required<Omit<RegistryOptions, 'allowDelete' | 'manifestBytes' | 'quotasFor'>> & {
  cache: ManifestCache
  quotas: Quotas
  own: OwnNames
}

export function createRegistry(options: RegistryOptions): Registry {
  const { names, mirror = noMirror, clock = steadyClock } = options
  const cache = new ManifestCache(clock, options.manifestBytes)
  const own = new OwnNames({ names, mirror, clock })
  const { elsewhere = nowhere, logger = silentLogger, quotasFor = () => [] } = options
  const quotas = new Quotas({ ...options, elsewhere, logger, quotasFor })
  const collaborators: Collaborators = {
    metrics: noMetrics,
    sparse: 'indexes',
    secured: async () => undefined,
    ahead: { begin: () => undefined, send: () => undefined, take: () => undefined },
    ...options,
    elsewhere,
    logger,
    quotas,
    mirror,
    clock,
    cache,
    own,
  }
  const unsubscribe = names.onChange((keys) => {
    cache.forget(keys)
    own.learn(keys)
    quotas.learn(keys)
  })
  return {
    naming: createNaming(collaborators),
    pull: inClientsWords(createPull(collaborators)),
    push: inClientsWords(createPush(collaborators)),
    deletion: inClientsWords(createDeletion(collaborators, options.allowDelete ?? true)),
    listing: inClientsWords(createListing(collaborators)),
    outside: createOutside(collaborators),
    [Symbol.dispose]: unsubscribe,
  }
}
