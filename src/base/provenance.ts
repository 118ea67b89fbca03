/** Where bytes that were read came from, and how long that took. */
import type { Stage } from './tracer.ts'

/** Bytes that were read, by where they came from. */
export interface Origins {
  /** From this node's disk or memory, where they were before anyone asked. */
  local: number
  /** From a registry outside the cluster, by this node. */
  upstream: number
  /** By peer id. */
  peers: ReadonlyMap<string, number>
}

export interface Provenance {
  /** What was read of it so far. */
  readonly origins: Origins
  /** What is over of its way; milliseconds since the epoch. */
  readonly stages: readonly { stage: Stage; startMs: number; endMs: number }[]
}

/** In a peer's place, for pieces that came from a registry outside the cluster. */
export const fromUpstream = 'upstream'

const nobody: ReadonlyMap<string, number> = new Map()

/** Of bytes that all came from one place: a peer, `upstream`, or this node where nobody gave them. */
export function originsOf(bytes: number, giver: string | undefined): Origins {
  if (giver === undefined) return { local: bytes, upstream: 0, peers: nobody }
  if (giver === fromUpstream) return { local: 0, upstream: bytes, peers: nobody }
  return { local: 0, upstream: 0, peers: new Map([[giver, bytes]]) }
}
