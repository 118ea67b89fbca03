/** The first that delivers, of providers that are found one by one: the next is tried beside one that takes its time. */
import type { Clock } from './clock.ts'

export interface FirstOfOptions<P, T> {
  /** `undefined` when this one does not deliver. What it throws ends all. */
  deliver(provider: P, options: { signal: AbortSignal }): Promise<T | undefined>
  /** What came after another had delivered. */
  discard(result: T): void
  /** How long one is alone. */
  besideMs: number
  /** At once. */
  most: number
  clock: Clock
}

/** `undefined` when none delivers. */
export async function firstOf<P, T>(
  providers: AsyncIterable<P>,
  { deliver, discard, besideMs, most, clock }: FirstOfOptions<P, T>,
): Promise<T | undefined> {
  const over = new AbortController()
  const won = Promise.withResolvers<T>()
  const running = new Set<Promise<unknown>>()

  const attempt = async (provider: P): Promise<void> => {
    try {
      const result = await deliver(provider, over)
      if (result === undefined) return
      if (over.signal.aborted) discard(result)
      else won.resolve(result)
    } catch (error) {
      won.reject(error)
    }
  }

  const start = async (): Promise<void> => {
    for await (const provider of providers) {
      if (over.signal.aborted) return
      const attempting = attempt(provider).finally(() => running.delete(attempting))
      running.add(attempting)
      // Before the next is asked for: to find one may cost something.
      const passed = clock.sleep(besideMs, over).catch(() => undefined)
      await Promise.race([passed, ...running])
      while (running.size >= most) await Promise.race(running)
      if (over.signal.aborted) return
    }
    await Promise.all(running)
  }

  try {
    return await Promise.race([won.promise, start().then(() => undefined)])
  } finally {
    over.abort(new Error('another provider has delivered'))
  }
}
