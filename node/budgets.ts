/** What a node may use of its machine for what, all users of one kind together. */
import type { MachineLimits } from './machine-limits.ts'

export interface Budgets {
  /** Threads that hash and write what comes in. */
  workers: number
  /** For reading blobs. */
  readBytes: number
  /** For pushed bytes on their way to the disk. */
  ingestBytes: number
  /** For pieces on their way here, and as much for blobs from upstreams. */
  exchangeBytes: number
  /** For manifests that were read last. */
  manifestBytes: number
  /** For requests' bodies that are held until they are whole. */
  bodyBytes: number
  /** For bodies that are read ahead of who takes them. */
  bodyAheadBytes: number
  /** For answers that are held until they are taken. */
  answerBytes: number
  /** What the kernel may have kept of a file that was just written. */
  freshBytes: number
}

const mib = 2 ** 20
/** From here on each has all that it was measured with; below, its part of that. */
const roomyBytes = 1024 * mib
/** A manifest may be as large. */
const leastBytes = 4 * mib

export function budgetsFor({ processors, memoryBytes }: MachineLimits): Budgets {
  const share = Math.min(1, memoryBytes / roomyBytes)
  const of = (mebibytes: number): number => Math.max(leastBytes, Math.floor(mebibytes * mib * share))
  return {
    workers: processors < 2 ? 1 : 2,
    readBytes: of(32),
    ingestBytes: of(32),
    exchangeBytes: of(64),
    manifestBytes: of(32),
    bodyBytes: of(64),
    bodyAheadBytes: of(32),
    answerBytes: of(64),
    freshBytes: of(256),
  }
}
