/** The node's housekeeping: collects what nothing needs and drops uploads that were given up, at intervals. */
import { type Clock, type Logger, logFailure } from '../src/base/base.ts'
import type { Keeper } from '../src/placement/placement.ts'
import type { LocalNode } from './local-node.ts'

/** An upload that nobody touched for this long will not be resumed. */
const uploadIdleMs = 24 * 3_600_000

/** A part of a blob that nobody went on with for this long is not worth its room. */
const partialIdleMs = 7 * 24 * 3_600_000

/** Works until it is disposed of; a round that fails is logged and the next one tried. */
export function openJanitor(
  node: LocalNode,
  { keeper, clock, logger }: { keeper: Pick<Keeper, 'isWanted'>; clock: Clock; logger: Logger },
): AsyncDisposable {
  const controller = new AbortController()
  const { signal } = controller
  const intervalMs = node.settings['gc-interval']
  const work = intervalMs === 0 ? Promise.resolve() : loop()

  async function loop(): Promise<void> {
    while (!signal.aborted) {
      try {
        await clock.sleep(intervalMs, { signal })
        const expiredUploads = await dropped('uploads', () => node.store.uploads.expire(uploadIdleMs))
        const droppedPartials = await dropped('parts of blobs', dropIdlePartials)
        const report = await node.collect({ signal })
        logger.info({ expiredUploads, droppedPartials, ...report }, 'collected garbage')
      } catch (error) {
        if (!signal.aborted) logFailure(logger, error, 'collecting garbage failed')
      }
    }
  }

  /** What cannot be dropped, for want of room to note it, must not keep the collector from making some. */
  async function dropped(what: string, work: () => Promise<number>): Promise<number> {
    try {
      return await work()
    } catch (error) {
      if (!signal.aborted) logFailure(logger, error, `${what} that were given up could not be dropped`)
      return 0
    }
  }

  async function dropIdlePartials(): Promise<number> {
    const { partials } = node.store
    let dropped = 0
    for (const { digest, idleMs } of await partials.list()) {
      // A line that was cut for longer than that comes back to what it had brought.
      if (keeper.isWanted(digest)) continue
      if (idleMs > partialIdleMs && (await partials.drop(digest))) dropped++
    }
    return dropped
  }

  return {
    async [Symbol.asyncDispose]() {
      controller.abort(new Error('the node stops'))
      await work
    },
  }
}
