/**
 * Registries outside the cluster, as this node may read them. Only configured upstreams are ever dialled, whatever a client, a
 * record, a redirect or a `ns` names.
 */
import type { Digest, Reference, Repository } from '../oci/oci.ts'

export { rankMembers } from './rank.ts'

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
  readonly chunks: AsyncIterable<Uint8Array>
}

/** What an operator is shown of an upstream. */
export interface UpstreamStatus {
  name: string
  url: string
  /** False from a failure to connect until the next answer; `undefined` before the first request. */
  reachable: boolean | undefined
  /** In words, of the last request that failed. */
  lastError?: string
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
 * One upstream. `undefined` means that the upstream says there is no such thing, or that it is not for us. Throws
 * UpstreamUnavailableError when it cannot be reached, does not answer in time, asks to wait, or answers what makes no sense.
 */
export interface Upstream {
  readonly name: string
  /** Whether what it gives may be served to any client of this cluster: nothing was needed to read it, or the operator says so. */
  readonly isShared: boolean
  /** A HEAD: the cheapest question there is, and the one that most rate limits do not count. */
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
