/** What may go from this node to make room, why, and in which order. */
import type { Digest, Repository } from '../../oci/oci.ts'

/**
 * - `part`: of a blob on its way here with which nobody goes on
 * - `mirrored`: its upstream has it still
 * - `surplus`: enough other members have it
 * - `unreferenced`: no manifest refers to it, and its grace time is not over
 */
export type EvictionReason = 'part' | 'mirrored' | 'surplus' | 'unreferenced'

/** In the order in which they go. */
export const evictionReasons: readonly EvictionReason[] = ['part', 'mirrored', 'surplus', 'unreferenced']

/** What is known of a blob, or of a part of one. */
export interface Resident {
  digest: Digest
  /** One of those that hold it; absent where none does. */
  repository?: Repository
  bytes: number
  /** When it was last read or written, by the store's time. */
  usedMs: number
  isPart: boolean
  /** Somebody reads it, writes it, or is about to rely on it. */
  isInUse: boolean
  /** Somebody was told lately that it is here, and may refer to it next. */
  isPromised: boolean
  /** A keep rule wants it here. */
  isKept: boolean
  /** A manifest here refers to it. */
  isReferenced: boolean
  /** All that holds it here came from upstreams that answer. */
  isOutside: boolean
  /** Those who have to have it have it, without this node. */
  isSurplus: boolean
}

export interface Candidate extends Resident {
  reason: EvictionReason
}

export interface Eviction {
  /** In the order in which they go. */
  go: Candidate[]
  bytes: number
  /** What is wanted and cannot be had. */
  missingBytes: number
}

/** `undefined` for what stays. */
export function whyMayGo(resident: Resident): EvictionReason | undefined {
  if (resident.isInUse || resident.isKept) return undefined
  if (resident.isPart) return 'part'
  // Nobody pushes to what is mirrored, so that a promise there can be kept by fetching it again.
  if (resident.isOutside) return 'mirrored'
  if (resident.isPromised) return undefined
  if (resident.isSurplus) return 'surplus'
  return resident.isReferenced ? undefined : 'unreferenced'
}

export function asCandidate(resident: Resident): Candidate | undefined {
  const reason = whyMayGo(resident)
  return reason === undefined ? undefined : { ...resident, reason }
}

/** By reason, then those that were used longest ago; by digest where all else is alike. */
export function byTurn(a: Candidate, b: Candidate): number {
  const rank = evictionReasons.indexOf(a.reason) - evictionReasons.indexOf(b.reason)
  return rank || a.usedMs - b.usedMs || (a.digest < b.digest ? -1 : a.digest > b.digest ? 1 : 0)
}

/** What goes for `wantedBytes`, of candidates in their turn: no more than it takes. */
export function planEviction(inTurn: readonly Candidate[], wantedBytes: number): Eviction {
  const go: Candidate[] = []
  let bytes = 0
  for (const candidate of inTurn) {
    if (bytes >= wantedBytes) break
    go.push(candidate)
    bytes += candidate.bytes
  }
  return { go, bytes, missingBytes: Math.max(0, wantedBytes - bytes) }
}
