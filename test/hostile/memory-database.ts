/** Where a member that is gone after the test keeps what libp2p stores. */
import type { DatabaseOperation, SwarmDatabase } from '../../src/swarm/streams/datastore.ts'

export class MemoryDatabase implements SwarmDatabase {
  readonly #entries = new Map<string, Uint8Array>()

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#entries.get(key)
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    this.#entries.set(key, value)
  }

  async del(key: string): Promise<void> {
    this.#entries.delete(key)
  }

  async batch(operations: DatabaseOperation[]): Promise<void> {
    for (const operation of operations) {
      if (operation.type === 'put') await this.put(operation.key, operation.value)
      else await this.del(operation.key)
    }
  }

  iterator({ gte = '', lt = '\u{10ffff}' }: { gte?: string; lt?: string }) {
    const found = [...this.#entries]
      .filter(([key]) => key >= gte && key < lt)
      .sort(([a], [b]) => (a < b ? -1 : 1))
    return {
      async *[Symbol.asyncIterator](): AsyncGenerator<[string, Uint8Array]> {
        yield* found
      },
      close: async () => undefined,
    }
  }
}
