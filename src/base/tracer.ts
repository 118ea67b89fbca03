/** What becomes of a client's request, told on its way: the log, traces, notifications and metrics are made of it. */
import type { IncomingMessage } from 'node:http'
import type { Origins } from './provenance.ts'

/**
 * What takes time. `resolve` is from a name to a record, `ask` the part of it that waits for members, `fetch` a manifest from
 * elsewhere; `find` is until somebody was found who holds a blob, `list` until its pieces are known, `transfer` from then until
 * all was read; `disk` is the store: opening a blob, or proving one and giving it its name; `first-byte` is until the answer's
 * body begins.
 */
export type Stage = 'resolve' | 'ask' | 'fetch' | 'find' | 'list' | 'transfer' | 'disk' | 'first-byte'

/** A manifest or a blob that a client read. */
export interface Pulled {
  kind: 'manifest' | 'blob'
  repository: string
  /** As the client named it. */
  reference: string
  digest: string
  mediaType: string
  /** Of the whole. */
  size: number
  /** What the client got of it, which was a range or all. */
  origins: Origins
  /** Whether that is all that it asked for: of a range without an end, as much as it took. */
  isComplete: boolean
}

export interface Pushed {
  kind: 'manifest' | 'blob'
  repository: string
  digest: string
  mediaType: string
  size: number
  tags: readonly string[]
  /** No byte was sent: the blob was there, under another repository. */
  isMount: boolean
}

export interface Deleted {
  kind: 'manifest' | 'tag' | 'blob'
  repository: string
  /** A tag or a digest. */
  reference: string
}

/** One request. Times are milliseconds since the epoch. */
export interface Trace {
  readonly startMs: number
  stage(name: Stage, startMs: number, endMs?: number): void
  pulled(pull: Pulled): void
  pushed(push: Pushed): void
  deleted(deletion: Deleted): void
  /** Who asks, by the name of the account. */
  signedIn(account: string): void
  /** Nothing is told after that. `route` is the endpoint's name, `error` what its handler threw. */
  end(route: string, status: number, error?: unknown): void
}

export interface Tracer {
  start(request: IncomingMessage): Trace
}

const nothing = (): void => undefined

export const noTrace: Trace = {
  startMs: 0,
  stage: nothing,
  pulled: nothing,
  pushed: nothing,
  deleted: nothing,
  signedIn: nothing,
  end: nothing,
}

export const noTracer: Tracer = { start: () => noTrace }

let originMs = performance.timeOrigin
let setMs = 0
const setEveryMs = 60_000

/** Now, finer than `Date.now()` tells. */
export function preciseNow(): number {
  const nowMs = performance.now()
  // The clock of the system is set now and then, and this one does not hear of it.
  if (nowMs - setMs > setEveryMs) {
    originMs = Date.now() - nowMs
    setMs = nowMs
  }
  return originMs + nowMs
}

/** Tells how long `work` takes, whether it succeeds or not. */
export async function timed<T>(trace: Trace, stage: Stage, work: () => Promise<T>): Promise<T> {
  const startMs = preciseNow()
  try {
    return await work()
  } finally {
    trace.stage(stage, startMs)
  }
}
