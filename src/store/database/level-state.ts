/** What state a database is in for its owner, and what who reads or writes is told of it. */

import { DatabaseFaultError, StoreFullError } from '../errors.ts'
import { asStoreError } from '../files/disk-space.ts'
import type { Operation } from './level-engine.ts'

export type State =
  | { name: 'sound' }
  /**
   * A write failed, or a read met damage. What else is stored can be read; `before` is what stood where the failed write may
   * have come through.
   */
  | { name: 'faulty'; fault: unknown; before: Operation[] }
  /** Closed and on its way back: readers wait. */
  | { name: 'reopening'; fault: unknown; opened: Promise<void> }
  /** It could not be opened again, so nothing can be read either. */
  | { name: 'shut'; fault: unknown; before: Operation[] }
  /** Opened again, it lacks what was acknowledged. */
  | { name: 'lost'; fault: unknown }

export type Reopenable = Extract<State, { name: 'faulty' | 'shut' }>

/** What a writer is told; `obstacle` is why it could not be opened again when that was tried last. */
export function refusalOf(
  { name, fault }: Exclude<State, { name: 'sound' }>,
  obstacle: string | undefined,
): DatabaseFaultError | StoreFullError {
  const why = fault instanceof Error ? fault.message : String(fault)
  if (name === 'lost')
    return new DatabaseFaultError(`the database lost what it had acknowledged, after: ${why}`, {
      cause: fault,
    })
  const when = obstacle === undefined ? 'at once' : `as soon as it can be (${obstacle})`
  const message = `a write to the database failed (${why}); it is opened again ${when}, and takes nothing until then`
  return fault instanceof StoreFullError
    ? new StoreFullError(message, { cause: fault })
    : new DatabaseFaultError(message, { cause: fault })
}

/** Who reads is told of the database, be it for want of room that it is opened again. */
export function unreadable(fault: unknown): DatabaseFaultError {
  return new DatabaseFaultError('the database is being opened again, as a write to it failed', {
    cause: fault,
  })
}

/** What a failed write or read means. */
export function faultOf(error: unknown): unknown {
  const known = asStoreError(error)
  return known instanceof StoreFullError
    ? known
    : new DatabaseFaultError(error instanceof Error ? error.message : String(error), { cause: error })
}
