/** Has pushes that wait for copies wait for what makes them, too: the registry serves before the node has joined its cluster. */
import { type Clock, untilOrAfter } from '../src/base/base.ts'
import { ackOf } from '../src/placement/placement.ts'
import type { Policy } from '../src/records/records.ts'
import type { Secured } from '../src/registry/registry.ts'
import type { NodeCopies } from './copies.ts'

export interface LateCopies {
  readonly secured: Secured
  arrive(copies: Pick<NodeCopies, 'secured'>): void
}

export interface LateCopiesOptions {
  policy(): Policy
  /** How many members are to hold what is pushed, where neither the client nor a rule says it. */
  ack: number
  /** For how long a push waits in all. */
  withinMs: number
  clock: Clock
}

export function lateCopies({ policy, ack, withinMs, clock }: LateCopiesOptions): LateCopies {
  let current: Pick<NodeCopies, 'secured'> | undefined
  const arrived = Promise.withResolvers<void>()
  return {
    async secured(image, { copies, signal }) {
      const wanted = copies ?? ackOf(policy(), image.repository) ?? ack
      if (wanted <= 1) return undefined
      const untilMs = clock.now() + withinMs
      if (current === undefined) await untilOrAfter(arrived.promise, withinMs, { clock, signal })
      if (current === undefined) return { held: 1, wanted }
      return await current.secured(image, { copies, withinMs: Math.max(0, untilMs - clock.now()), signal })
    },
    arrive(copies) {
      current = copies
      arrived.resolve()
    },
  }
}
