/** Origins for tests, which send as they are told, and who fetches from which. */

import type { Origin, OriginDelegation } from '../../../src/exchange/contract.ts'
import type { TestNode, World } from './fixture.ts'

/** So much comes at once. */
export const chunkBytes = 16 * 1024

/** Gives bytes as far as it is let, and remembers what it was asked. */
export class TestOrigin implements Origin {
  readonly starts: number[] = []
  readonly content: Uint8Array
  sent = 0
  doesRanges = true
  /** Bytes of the blob that may be sent; then it waits. */
  gate = Number.POSITIVE_INFINITY
  /** At which byte the stream breaks. */
  breaksAt = Number.POSITIVE_INFINITY
  isAbsent = false
  failure: Error | undefined
  extra = 0
  #change = Promise.withResolvers<void>()

  constructor(content: Uint8Array) {
    this.content = content
  }

  open(start: number, { signal }: { signal: AbortSignal }) {
    this.starts.push(start)
    if (this.failure !== undefined) return Promise.reject(this.failure)
    const from = this.doesRanges ? start : 0
    return Promise.resolve(
      this.isAbsent
        ? undefined
        : {
            size: this.content.length,
            start: from,
            chunks: this.#chunks(from, signal),
            [Symbol.asyncDispose]: async () => undefined,
          },
    )
  }

  let(gate: number): void {
    this.gate = gate
    this.#change.resolve()
    this.#change = Promise.withResolvers()
  }

  async *#chunks(from: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let at = from; at < this.content.length; at += chunkBytes) {
      const end = Math.min(at + chunkBytes, this.content.length)
      while (end > this.gate) {
        signal.throwIfAborted()
        await this.#change.promise
      }
      if (end > this.breaksAt) throw new Error('the line broke')
      const chunk = this.content.slice(at, end)
      this.sent += chunk.length
      yield chunk
    }
    if (this.extra > 0) yield new Uint8Array(this.extra)
  }
}

export interface Fetcher {
  node: TestNode
  origin: Origin
  /** Aborted when it is killed. */
  life: AbortController
}

/** Asks the members in the order in which they were added, the next when one fails. */
export class TestDelegation {
  readonly #fetchers: Fetcher[] = []

  add(node: TestNode, origin: Origin): Fetcher {
    const fetcher = { node, origin, life: new AbortController() }
    this.#fetchers.push(fetcher)
    return fetcher
  }

  kill({ node, life }: Fetcher, { mesh }: Pick<World, 'mesh'>): void {
    mesh.kill(node.peer)
    life.abort(new Error('killed'))
  }

  for(self: () => string): OriginDelegation {
    return {
      covers: () => true,
      fetch: async (what, { signal, fetchFromOrigin }) => {
        let failure: unknown = new Error('nobody reaches it')
        for (const { node, origin, life } of this.#fetchers) {
          if (life.signal.aborted) continue
          const options = { signal: AbortSignal.any([signal, life.signal]) }
          try {
            if (node.peer === self()) return await fetchFromOrigin(origin, options)
            return await node.exchange.fetchFromOrigin(what, origin, options)
          } catch (error) {
            failure = error
          }
        }
        throw failure
      },
    }
  }
}
