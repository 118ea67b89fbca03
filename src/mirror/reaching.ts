/** Which upstreams this node reaches, as it tells the other members, at once when that changes. */
import type { Clock } from '../base/base.ts'
import type { Upstreams } from '../upstream/upstream.ts'

export interface Reaching {
  /** Of those whose content is for everyone. */
  names(): string[]
  /** The rest of those: names that are mirrored all the same, so that nobody takes them for the cluster's own. */
  away(): string[]
  /** One could not be had from. */
  noteFailure(name: string): void
  /** Looks now and then whether something has changed, until stopped. */
  run(options: { signal: AbortSignal; onChange(): void }): Promise<void>
}

const everyMs = 500
/** After so long what was out of reach may be tried again, by whoever is first in rank. */
const againMs = 10_000

export function openReaching(upstreams: Upstreams, clock: Clock): Reaching {
  const failedMs = new Map<string, number>()

  function names(): string[] {
    const nowMs = clock.now()
    const reached = upstreams.all.filter((upstream) => {
      if (!upstream.isShared) return false
      if (upstream.status().reachable !== false) {
        failedMs.delete(upstream.name)
        return true
      }
      const sinceMs = failedMs.get(upstream.name) ?? nowMs
      failedMs.set(upstream.name, sinceMs)
      return nowMs - sinceMs > againMs
    })
    return reached.map(({ name }) => name)
  }

  return {
    names,
    away() {
      const reached = new Set(names())
      return upstreams.all
        .filter(({ name, isShared }) => isShared && !reached.has(name))
        .map(({ name }) => name)
    },
    noteFailure: (name) => {
      if (upstreams.find(name)?.status().reachable === false) failedMs.set(name, clock.now())
    },
    async run({ signal, onChange }) {
      let told = names().join()
      // Most nodes mirror nothing, and need not be woken for it.
      while (upstreams.all.some(({ isShared }) => isShared)) {
        try {
          await clock.sleep(everyMs, { signal })
        } catch (error) {
          if (signal.aborted) return
          throw error
        }
        const now = names().join()
        if (now === told) continue
        told = now
        onChange()
      }
    },
  }
}
