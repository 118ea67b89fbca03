/** What the API answers about this node: its disk, its keep rules, its upstreams. */
import type { PlannedGroup } from '../../operations/shown.ts'

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
  plan: PlanAnswer
  /** What this node knows to be short of copies, the oldest first; of many, some. */
  short: { images: number; list: ShortImage[] }
  graceMs: number
  /** How long a manifest without a tag is kept; absent where it is for ever. */
  keepUntaggedMs?: number
  /** How often a collection runs by itself; 0 for never. */
  collectEveryMs: number
  measuredMs: number
}

/** What would go where room is needed, in that order. */
export interface PlanAnswer {
  /** Absent without --max-disk. */
  limit?: { maxBytes: number; highBytes: number; filledBytes: number }
  groups: PlannedGroup[]
}

/** An image that fewer members hold than there are to be. */
export interface ShortImage {
  repository: string
  digest: string
  held: number
  wanted: number
  sinceMs: number
}

export interface FreeableAnswer {
  blobs: number
  manifests: number
  bytes: number
}

/** What `shoal doctor` would say on this node's host, faults first, and nothing of what is as it should be. */
export interface DoctorAnswer {
  findings: { check: string; level: 'note' | 'fault'; found: string; advice?: string }[]
  measuredMs: number
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
  /** Whether who asks may add and remove rules. */
  mayChange: boolean
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
