/** The rest of the cluster as the registry sees it: where to turn for what is not here. */
import type { Digest, RangesOf, Repository, Tag } from '../oci/oci.ts'
import type { OpenBlob } from '../store/store.ts'

/** `silence` where members that may know a name did not answer: that it is unknown here says nothing. */
export type Asked = 'silence' | undefined

export interface Elsewhere {
  /** Brings the newest record of a tag into the ledger, if a member knows one. Bounded in time. */
  askForTag(repository: Repository, tag: Tag, options?: { signal?: AbortSignal }): Promise<Asked>
  /** The same for a manifest's record. */
  askForManifest(repository: Repository, digest: Digest, options?: { signal?: AbortSignal }): Promise<Asked>
  /** A manifest's proven bytes from a member, or `undefined`. `onGiver` is told which peer's they are. */
  fetchManifest(
    repository: Repository,
    digest: Digest,
    options?: { signal?: AbortSignal; onGiver?: (peer: string) => void },
  ): Promise<Uint8Array | undefined>
  /**
   * The size of a blob that members let this repository read, or `undefined`. No member's word is believed for it: it is brought here,
   * as far as there is time; or its size is one of `sizes`, which is what manifests say, and a piece of it suffices. `anywhere` (default) asks
   * upstreams, too.
   */
  findBlob(
    repository: Repository,
    digest: Digest,
    options?: { signal?: AbortSignal; within?: 'cluster' | 'anywhere'; sizes?: readonly number[] },
  ): Promise<{ size: number } | undefined>
  /**
   * A blob to read while it is on its way here, or `undefined` when no member can give it. The caller disposes of it. With `ranges`
   * nothing else may be read, and nothing else is brought for it; their bytes are what a member vouches for, piece by piece.
   */
  openBlob(
    repository: Repository,
    digest: Digest,
    options?: { signal?: AbortSignal; ranges?: RangesOf },
  ): Promise<OpenBlob | undefined>
  /** Brings a blob into the store whole; false when no member could give it. */
  fetchBlob(repository: Repository, digest: Digest, options?: { signal?: AbortSignal }): Promise<boolean>
  /** Begins to bring blobs here that will be asked for. Returns at once. */
  prefetch(repository: Repository, digests: Digest[]): void
  /** Says that this node holds the digests now, or no more. Returns at once; the saying goes on behind. */
  announce(digests: Digest[]): void
  withdraw(digests: Digest[]): void
}

/** A node that is by itself. */
export const nowhere: Elsewhere = {
  askForTag: async () => undefined,
  askForManifest: async () => undefined,
  fetchManifest: async () => undefined,
  findBlob: async () => undefined,
  openBlob: async () => undefined,
  fetchBlob: async () => false,
  prefetch: () => undefined,
  announce: () => undefined,
  withdraw: () => undefined,
}
