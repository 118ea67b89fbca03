/** What happens to a download, what it wants done, and its limits. */
import type { TokenBucket } from '../../base/base.ts'
import type { Bitfield } from '../protocol/bitfield.ts'
import type { Layout } from '../protocol/piece-size.ts'

export const wakeEveryMs = 100

/** What a peer says of its pieces, and what comes of them. */
export type PeerNews =
  | { type: 'has'; pieces: readonly number[] }
  | { type: 'lost'; pieces: readonly number[] }
  | { type: 'later'; pieces: readonly number[]; instead: readonly number[]; retryAfterMs: number }
  | { type: 'busy'; retryAfterMs: number }
  | { type: 'alive' }
  /** Part of a piece came. */
  | { type: 'bytes'; piece: number; bytes: number }

export type DownloadEvent =
  | (PeerNews & { peer: string })
  /** A peer that holds something has come, or tells anew what it holds. */
  | { type: 'peer'; peer: string; held: Bitfield }
  /** Its channel ended, or it has nothing any more. */
  | { type: 'left'; peer: string }
  /** A whole piece came and its hash is right. */
  | { type: 'arrived'; peer: string; piece: number }
  /** For each reader, the piece that it waits for or reads. Replaces what was said before. */
  | { type: 'readers'; pieces: readonly number[] }
  /** As many more, or fewer, want these: for a download that is `onDemand`. */
  | { type: 'wanted'; pieces: WantedPieces; by: 1 | -1 }
  /** The hashes of so many pieces are known now, from the first on. */
  | { type: 'known'; pieces: number }
  /** Those near that download the blob, too, as far as they are known. Replaces what was said before. */
  | { type: 'fellows'; peers: readonly string[] }
  | { type: 'wake' }

/** From one piece to before another. */
export type WantedPieces = readonly { from: number; to: number }[] | 'all'

export type DownloadAction =
  | { type: 'request'; peer: string; pieces: number[]; urgent: boolean }
  | { type: 'cancel'; peer: string; pieces: number[] }
  /** It is silent. Give it up for this blob: it is forgotten here, and its later events mean nothing until it joins again. */
  | { type: 'drop'; peer: string }

export interface DownloadOptions {
  layout: Layout
  /** What is here already, from a download that was broken off. */
  held?: Bitfield
  /** Of how many pieces the hashes are known, from the first on; others are not asked for. Default all. */
  known?: number
  /** Only pieces that somebody wants are asked for, as `wanted` tells. Default all are. */
  onDemand?: boolean
  random: () => number
  /** Shared by all downloads. */
  budget?: TokenBucket
  /** Which peers are far, in other sites, as far as it is known; default none. */
  site?: Site
  limits?: Partial<DownloadLimits>
}

export interface Site {
  /** This node and the blob, by names that all use. */
  self: string
  blob: string
  /** May change its mind. */
  isFar(peer: string): boolean
}

export interface DownloadLimits {
  maxPeers: number
  /** Asked of one peer at once: what it sends in `queueMs`, between two small pieces (or one large) and this. */
  maxPeerBytes: number
  queueMs: number
  /** Asked of all peers at once. */
  maxBytes: number
  /**
   * A peer that was asked and is silent this long, or twice as long as is usual for it, gets no new requests. Seeders say
   * something every 200 to 800 ms, which takes its time behind data.
   */
  silentMs: number
  /** And this long, or four times as long as is usual: it is dropped. */
  deadMs: number
  /** A piece is late when its peer takes this many times its own p90 for it, and at least `minLateMs`. */
  lateFactor: number
  minLateMs: number
  /** Before any p90 is known. */
  firstLateMs: number
  /** Of a node that waits for what others of its site fetch, before it knows how long that takes (far-rule.ts). */
  farPatienceMs: number
}

export const defaultDownloadLimits: DownloadLimits = {
  maxPeers: 64,
  maxPeerBytes: 16 * 1024 * 1024,
  queueMs: 500,
  maxBytes: 64 * 1024 * 1024,
  silentMs: 450,
  deadMs: 5000,
  lateFactor: 3,
  minLateMs: 300,
  firstLateMs: 2000,
  farPatienceMs: 1500,
}
