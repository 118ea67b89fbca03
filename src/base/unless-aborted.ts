/** Waiting for work that others wait for too: leaving does not end it. */
import type { Clock } from './clock.ts'

/** Settles as the work does, or rejects with the signal's reason when that aborts first. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason)
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}

/** Until the promise resolves, and no longer than `ms`. Throws the signal's reason when it aborts first. */
export async function untilOrAfter(
  promise: Promise<void>,
  ms: number,
  { clock, signal }: { clock: Clock; signal?: AbortSignal },
): Promise<void> {
  const over = new AbortController()
  const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal])
  const late = clock.sleep(ms, { signal: either }).catch((error: unknown) => {
    if (!either.aborted) throw error
  })
  try {
    await Promise.race([promise, late])
  } finally {
    over.abort(new Error('it is not waited for any more'))
  }
  signal?.throwIfAborted()
}
