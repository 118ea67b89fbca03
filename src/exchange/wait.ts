/** Waiting for something or for the signal, whichever comes first. */
import type { Clock } from '../base/base.ts'

/** Throws the signal's reason when it aborts first. */
export async function untilEither<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Until the promise resolves, and no longer than `ms`. Throws the signal's reason when it aborts first. */
export async function untilOrAfter(
  promise: Promise<void>,
  ms: number,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  const late = clock.sleep(ms, { signal: either }).catch((error: unknown) => {
    if (!either.aborted) throw error
  })
  try {
    await Promise.race([promise, late])
  } finally {
    over.abort(new Error('it is not waited for any more'))
  }
  signal.throwIfAborted()
}
