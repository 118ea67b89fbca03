/**
 * Content of members that this node cannot reach, such as those behind a line that only dials out: others that reach them are asked to
 * bring it, and give it then. Nobody is asked where no member is missing.
 */
import { type Clock, RecentMap, shuffled } from '../../src/base/base.ts'
import type { Digest, Repository } from '../../src/oci/oci.ts'
import type { CopyPeers, CopyQuestion } from '../../src/placement/placement.ts'

export interface Through {
  /** True when a member has it by now or is bringing it, so that another look is worth it. */
  ask(repository: Repository, digest: Digest, options?: { signal?: AbortSignal }): Promise<boolean>
  /** Nobody is asked for it while `work` brings it for somebody else. */
  without<T>(digest: Digest, work: () => Promise<T>): Promise<T>
}

export interface ThroughOptions {
  peers: CopyPeers
  /** Those who are connected. */
  connected(): string[]
  /** Whether there are others, who are not. */
  areMissing(): Promise<boolean>
  /** A record names it, or a manifest here. */
  isNamed(repository: Repository, digest: Digest): Promise<boolean>
  /** From 0 to 1. */
  random(): number
  clock: Clock
}

const maxAsked = 3
/** What takes longer is had piece by piece while it comes. */
const withinMs = 5_000
/** What was asked for in vain is not asked for again so soon. */
const vainMs = 10_000
const maxVain = 1_000

export function openThrough(options: ThroughOptions): Through {
  const { peers, connected, areMissing, isNamed, random, clock } = options
  /** How many bring it. */
  const brought = new Map<Digest, number>()
  const vain = new RecentMap<Digest, number>(maxVain)

  const isComing = async (peer: string, question: CopyQuestion, signal: AbortSignal): Promise<boolean> => {
    const [answer] = await peers.ask(peer, question, { signal })
    return answer === 'held' || answer === 'coming'
  }

  return {
    async ask(repository, digest, { signal = new AbortController().signal } = {}) {
      const vainAtMs = vain.get(digest) ?? Number.NEGATIVE_INFINITY
      if (brought.has(digest) || clock.now() - vainAtMs < vainMs) return false
      if (!(await areMissing()) || !(await isNamed(repository, digest))) return false
      const asked = shuffled(connected(), random).slice(0, maxAsked)
      const question: CopyQuestion = { mode: 'through', images: [{ repository, digest }], withinMs }
      const isFound = await anyTrue(asked.map((peer) => isComing(peer, question, signal)))
      signal.throwIfAborted()
      if (!isFound) vain.set(digest, clock.now())
      return isFound
    },
    async without(digest, work) {
      brought.set(digest, (brought.get(digest) ?? 0) + 1)
      try {
        return await work()
      } finally {
        const others = (brought.get(digest) ?? 1) - 1
        if (others === 0) brought.delete(digest)
        else brought.set(digest, others)
      }
    },
  }
}

/** As soon as one is true; who fails to answer says no. */
async function anyTrue(answers: Promise<boolean>[]): Promise<boolean> {
  const found = Promise.withResolvers<boolean>()
  const all = answers.map((answer) =>
    answer.then(
      (isTrue) => void (isTrue && found.resolve(true)),
      () => undefined,
    ),
  )
  void Promise.all(all).then(() => found.resolve(false))
  return await found.promise
}
