/**
 * Has V8 collect young objects for the buffers that they hold, too. By itself it waits until the objects fill their space, and those
 * that hold what came from a socket are few: 60 MiB of dead buffers of 64 KiB lie there by then.
 */

/** A collection takes half a millisecond; what it frees is allotted again while the processor's cache still has it. */
const everyBytes = 8 * 1024 * 1024

/** Of this thread, since the last collection. */
let spentBytes = 0

/**
 * So many bytes of buffers are needed no more, in memory that cannot be freed at once, since somebody else may see it. Collects nothing
 * where Node was started without --expose-gc, with which `scripts/shoal` and the packages start it.
 */
export function noteSpent(bytes: number): void {
  spentBytes += bytes
  if (spentBytes < everyBytes) return
  spentBytes = 0
  globalThis.gc?.({ type: 'minor' })
}
