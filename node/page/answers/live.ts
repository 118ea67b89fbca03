/** What the API sends to whoever watches. Times are milliseconds since the epoch. */

export interface MemberFacts {
  peer: string
  /** What it is called, as it says. */
  name?: string
  isSelf: boolean
  /** Bytes a second that it sends to all others together at most. */
  maxUpload?: number
  addresses: string[]
  /** Since when it is connected, or, of one that is lost, since when not; absent for this node. */
  sinceMs?: number
  latencyMs?: number
  version?: string
  announces?: number
  receivedBytes: number
  sentBytes: number
  faults: Record<string, number>
  /** How it is, by its own word; absent where it did not say lately. */
  condition?: ConditionFacts
}

export interface ConditionFacts {
  /** What keeps it from serving as it should, in words; empty where nothing does. */
  problems: string[]
  /** In bytes; `filled` of `limit` where its data directory has one. */
  disk?: { free: number; total: number; filled?: number; limit?: number }
}

/** Bytes that moved from one member to another, by the second. */
export interface Flow {
  from: string
  to: string
  bytesPerSecond: number
}

/** A blob on its way to the member `to`. */
export interface TransferFacts {
  to: string
  digest: string
  repository?: string
  /** Absent until a piece list was found. */
  bytes?: number
  heldBytes: number
  pieces: number
  held: number
  peers: number
  bytesPerSecond: number
}

/** Sent every second to whoever watches. */
export interface StateEvent {
  nowMs: number
  self: string
  version: string
  cluster: string
  http: string
  /** This node first, then by peer id. */
  members: MemberFacts[]
  /** Those that were connected since this node started, and are not now. */
  lost: MemberFacts[]
  flows: Flow[]
  transfers: TransferFacts[]
  /** Of this node, in words. */
  problems: string[]
  /** Of this node, bytes per second; 0 for none. */
  limits: { upload: number; download: number }
  /** Counts up whenever a tag, a manifest or the policy changes: of what the reader may read. */
  revision: number
}

/** Sent with every state to whoever watches one blob. */
export interface BlobEvent {
  digest: string
  isHere: boolean
  bytes?: number
  /** Repositories that want it, or one that has it. */
  repositories: string[]
  /** Absent when it is not on its way here. */
  transfer?: {
    pieceBytes: number
    pieces: number
    held: number
    /** Base64; one bit for each piece, the first in the highest bit of the first byte. */
    bitfield: string
    proving: boolean
    bytesPerSecond: number
    peers: SwarmPeer[]
  }
}

export interface SwarmPeer {
  peer: string
  state: 'asked' | 'absent' | 'ready' | 'silent' | 'busy'
  held: number
  waiting: number
  receivedBytes: number
  bytesPerSecond: number
}
