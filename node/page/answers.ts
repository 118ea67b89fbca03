/** What the page's API answers, as JSON: written by the server, read by the client. Times are milliseconds since the epoch. */

/** Of every answer that is no 2xx. `code` is stable, `message` is for the reader. */
export interface ErrorAnswer {
  error: { code: string; message: string }
}

/** Who looks at the page. */
export interface MeAnswer {
  /** Of the account; absent for who did not sign in. */
  name?: string
  groups: string[]
  /** Of the images; only who sees everything is shown the cluster and the node as well. */
  sees: 'everything' | 'some' | 'nothing'
  /** Whether accounts and rules are shown, and may be changed as far as this node can. */
  administers: boolean
  /** Whether there are accounts or rules at all. */
  canSignIn: boolean
  /** Whether what this node signs counts for accounts. */
  writesAccounts: boolean
}

export interface SignedInAnswer {
  /** To be sent back with every request, in `X-Shoal-Session`. */
  seal: string
}

export interface AccountRow {
  name: string
  type: 'person' | 'robot'
  groups: string[]
  disabledMs?: number
  expiresMs?: number
  note?: string
  writtenMs: number
  author: string
}

export interface MadeRobotAnswer {
  name: string
  /** Told this once. */
  secret: string
  expiresMs?: number
}

export interface AccessAnswer {
  rules: { repositories: string; who: string[]; may: string[] }[]
}

export interface ExplainAnswer {
  who: string
  repository: string
  may: string[]
  /** Absent for who may not know the rules. */
  why?: string
}

export interface RepositoryRow {
  name: string
  tags: number
  /** There are more than were counted. */
  isMore?: true
  newest?: { tag: string; writtenMs: number; author: string }
}

/** A part of a list that may be long: rows from `offset` on, of `total`. */
export interface Rows<T> {
  total: number
  /** The list is longer than what is looked at. */
  isCut?: true
  offset: number
  rows: T[]
}

export interface TagRow {
  tag: string
  digest: string
  mediaType: string
  writtenMs: number
  author: string
  /** What the whole takes; absent where its manifests are not on this node. */
  bytes?: number
  platforms: string[]
}

export interface SearchAnswer {
  repositories: string[]
  tags: { repository: string; tag: string }[]
  /** There are more names than were searched. */
  isCut: boolean
}

export interface BlobFacts {
  digest: string
  bytes: number
  mediaType: string
  isHere: boolean
  /** Peer ids of other members that say they hold it; absent until they were asked. */
  holders?: string[]
  createdBy?: string
}

export interface PlatformFacts {
  digest: string
  bytes: number
  platform?: string
  /** Absent where no member that can be reached has the manifest. */
  content?: {
    artifactType?: string
    config: BlobFacts
    layers: BlobFacts[]
    image?: ConfigFacts
  }
}

export interface ConfigFacts {
  created?: string
  author?: string
  user?: string
  workingDir?: string
  entrypoint: string[]
  command: string[]
  environment: string[]
  ports: string[]
  volumes: string[]
  labels: Record<string, string>
}

export interface ReferrerFacts {
  digest: string
  mediaType: string
  bytes: number
  artifactType?: string
  annotations: Record<string, string>
  writtenMs: number
  author: string
}

export interface ImageAnswer {
  repository: string
  digest: string
  mediaType: string
  kind: 'image' | 'index' | 'other'
  tag?: { name: string; author: string; writtenMs: number }
  /** Other tags of the repository that point to it are among these. */
  tags: string[]
  annotations: Record<string, string>
  totalBytes: number
  platforms: PlatformFacts[]
  omittedPlatforms: number
  referrers: ReferrerFacts[]
  /** Whether this node has the manifest. */
  isHere: boolean
  holders?: string[]
  /** Why the tag cannot be deleted from here, in words; absent when it may be tried. */
  undeletable?: string
}

export interface StorageAnswer {
  blobs: number
  blobBytes: number
  partials: number
  partialBytes: number
  quarantined: number
  totalBytes: number
  freeBytes: number
  minFreeBytes: number
  /** What a collection would remove now, and what it would once nothing is spared for having been used lately. */
  now: FreeableAnswer
  later: FreeableAnswer
  graceMs: number
  /** How often a collection runs by itself; 0 for never. */
  collectEveryMs: number
  measuredMs: number
}

export interface FreeableAnswer {
  blobs: number
  manifests: number
  bytes: number
}

/** A keep rule, and how much of what it matches is on this node. */
export interface RuleFacts {
  id: string
  repositories: string
  tags?: string
  platforms?: string[]
  images: number
  complete: number
  missingBytes: number
  /** Since when the oldest image that is not complete is there. */
  missingSinceMs?: number
  /** Some of those that are not complete, as `repository:tag`. */
  missing: { name: string; parts: number; sinceMs: number }[]
}

export interface RulesAnswer {
  rules: RuleFacts[]
  measuredMs: number
}

export interface UpstreamFacts {
  name: string
  url: string
  /** Absent before the first request. */
  reachable?: boolean
  lastError?: string
  pausedUntilMs?: number
  limit?: number
  remaining?: number
  manifestRequests: number
  blobRequests: number
  receivedBytes: number
}

export interface UpstreamsAnswer {
  upstreams: UpstreamFacts[]
}

export interface MemberFacts {
  peer: string
  /** What it is called, as it says. */
  name?: string
  isSelf: boolean
  /** Bytes a second that it sends to all others together at most. */
  maxUpload?: number
  addresses: string[]
  /** Since when it is connected, or, of one that is lost, since when not. */
  sinceMs: number
  latencyMs?: number
  version?: string
  announces?: number
  receivedBytes: number
  sentBytes: number
  faults: Record<string, number>
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
  startedMs: number
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
  /** Counts up whenever a tag, a manifest or the policy changes. */
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
