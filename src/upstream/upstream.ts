/**
 * Registries outside the cluster, as this node may read them. Only configured upstreams are ever dialled, and the hosts that
 * they refer to, whatever a client, a record or a `ns` names.
 */
import type { Digest, Reference, Repository } from '../oci/oci.ts'

export { type UpstreamTrouble, UpstreamUnavailableError } from './errors.ts'
export {
  type ListedRegistry,
  openListedRegistry,
  openUpstreams,
  type UpstreamsOptions,
} from './open-upstreams.ts'
export { ProxySettingError } from './proxies.ts'
export { rankMembers } from './rank.ts'
export { type MemberWords, wordFor } from './upstream-name.ts'

/** An upstream's manifest; `bytes` hash to `digest`. */
export interface UpstreamManifest {
  digest: Digest
  mediaType: string
  bytes: Uint8Array
}

/** A blob's bytes from `start` on. They are proven by whoever reads them. */
export interface UpstreamBlob extends AsyncDisposable {
  /** Of the whole blob. */
  readonly size: number
  /** Where `chunks` begins: as asked for, or 0 where the upstream does not do ranges. */
  readonly start: number
  /** All of `size - start` bytes, once; throws UpstreamUnavailableError where they end early or do not end. */
  readonly chunks: AsyncIterable<Uint8Array>
}

/** What an operator hears of, once each time: that it cannot be reached, or takes no credentials, and that it is over. */
export type UpstreamChange = { to: 'away' | 'refusing'; reason: string } | { to: 'back' | 'taking' }

/** What an operator is shown of an upstream. */
export interface UpstreamStatus {
  name: string
  url: string
  isShared: boolean
  /** False from a failure to connect until the next answer; `undefined` before the first request. */
  reachable: boolean | undefined
  /** In words, of the last request that failed. */
  lastError?: string
  /** Absent where there are none. */
  credentials?: {
    /** Where they are set: a file, or a variable. */
    from?: string
    /** Whether the upstream, or its token server, did not take them when they were sent last. */
    refused: boolean
  }
  /** No request is sent before this time, as the upstream asked for (429 or 503 with `Retry-After`). */
  pausedUntilMs?: number
  /** As the upstream tells in `RateLimit-Limit` and `RateLimit-Remaining`. */
  limit?: number
  remaining?: number
  manifestRequests: number
  blobRequests: number
  receivedBytes: number
}

/**
 * One upstream. `undefined` means that the upstream says there is no such thing. Throws
 * UpstreamUnavailableError when it does not say so of a manifest to whom it does not let read it (`denied`), when it cannot be reached, does not answer in time, asks to wait, or answers what makes no sense;
 * the signal's reason when that aborts.
 */
export interface Upstream {
  readonly name: string
  /** Whether what it gives may be served to any client of this cluster: nothing was needed to read it, or the operator says so. */
  readonly isShared: boolean
  /** Blobs on their way at once; further ones wait. */
  readonly maxBlobs: number
  /**
   * A HEAD: the cheapest question there is, and the one that most rate limits do not count. The digest is what the upstream
   * says it is; only the bytes of `getManifest` prove one.
   */
  statManifest(
    repository: Repository,
    reference: Reference,
    options?: { signal?: AbortSignal },
  ): Promise<{ digest: Digest; mediaType: string; size: number } | undefined>
  getManifest(
    repository: Repository,
    reference: Reference,
    options?: { signal?: AbortSignal },
  ): Promise<UpstreamManifest | undefined>
  /** Waits while as many blobs as may be are on their way. The signal cuts the body too. The caller disposes of it. */
  openBlob(
    repository: Repository,
    digest: Digest,
    options?: { start?: number; signal?: AbortSignal },
  ): Promise<UpstreamBlob | undefined>
  /** Manifests that refer to `subject`, by the referrers API or its tag; empty where the upstream has neither. */
  listReferrers(
    repository: Repository,
    subject: Digest,
    options?: { signal?: AbortSignal },
  ): Promise<Digest[]>
  status(): UpstreamStatus
}

export interface Upstreams extends AsyncDisposable {
  /** In the order of the configuration; the first is what a bare name without `ns` means to a mirror of docker's. */
  readonly all: readonly Upstream[]
  find(name: string): Upstream | undefined
}

/** One configured upstream. */
export interface UpstreamOptions {
  /** As it stands before the repository in a mirrored name, such as docker.io. */
  name: string
  /** Scheme, host and port. */
  url: URL
  /** Sent to the upstream itself and to its token server, nowhere else. */
  credentials?: Credentials
  /** Where they are set, for who has to replace them. */
  credentialsFrom?: string
  /** Hosts besides its own, each with or without a port, whose token server may be given the credentials. */
  authHosts?: string[]
  /** PEM; trusted beside the authorities that Node trusts. */
  certificateAuthority?: string
  /** Default: whether there are no credentials. */
  isShared?: boolean
  limits?: Partial<UpstreamLimits>
  /** Of the bytes of its blobs; default: as fast as they come. */
  budget?: Budget
}

/** A user name with its password, or a token that a token server exchanges for others ("identity token"). */
export type Credentials = { username: string; password: string } | { token: string }

/** How fast bytes may come. */
export interface Budget {
  /** Takes `bytes`, and returns how long to wait before they are passed on. */
  take(bytes: number, nowMs: number): number
}

export interface UpstreamLimits {
  /** Blobs on their way at once; default 8. */
  maxBlobs: number
  /** From a request to the head of its answer; default 4 s. */
  answerMs: number
  /** A body that moves no byte for this long is cut; default 10 s. */
  idleMs: number
}
