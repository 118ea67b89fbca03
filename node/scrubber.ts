/** Has the store read everything again, for as long as the node runs. */
import { type Clock, type Logger, logFailure } from '../src/base/base.ts'
import type { LocalNode } from './local-node.ts'

/** A database that is opened again is there after that. */
const retryMs = 60_000

export function openScrubber(
  { store, settings }: LocalNode,
  { clock, logger }: { clock: Clock; logger: Logger },
): AsyncDisposable {
  const controller = new AbortController()
  const { signal } = controller
  const periodMs = settings.scrub
  const work = periodMs === 0 ? Promise.resolve() : loop()

  async function loop(): Promise<void> {
    while (!signal.aborted) {
      try {
        await store.scrub.run({ periodMs, signal })
      } catch (error) {
        if (signal.aborted) return
        logFailure(logger, error, 'reading everything again was interrupted')
        await clock.sleep(retryMs, { signal }).catch(() => undefined)
      }
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      controller.abort(new Error('the node stops'))
      await work
    },
  }
}
