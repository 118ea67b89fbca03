/** Writes in the order in which they were asked for; those that wait for the same disk go there together. */
import type { Operation } from './level-engine.ts'

/** One write, or several that become one: synced when one of them asks for it. */
export interface QueuedWrite {
  operations: Operation[]
  sync: boolean
  resolve(): void
  reject(reason: unknown): void
}

const groupBytes = 1024 * 1024

export class WriteQueue {
  readonly #waiting: QueuedWrite[] = []

  /** Settles as its group does. */
  add(operations: Operation[], sync: boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#waiting.push({ operations, sync, resolve, reject })
    return promise
  }

  /** `undefined` when nothing waits. */
  next(): QueuedWrite | undefined {
    if (this.#waiting.length === 0) return undefined
    const group = this.#waiting.splice(0, this.#length())
    return {
      operations: group.flatMap(({ operations }) => operations),
      sync: group.some(({ sync }) => sync),
      resolve: () => {
        for (const { resolve } of group) resolve()
      },
      reject: (reason) => {
        for (const { reject } of group) reject(reason)
      },
    }
  }

  /** Of all that wait. */
  reject(reason: unknown): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason)
  }

  #length(): number {
    let bytes = 0
    const end = this.#waiting.findIndex(({ operations }, index) => {
      for (const operation of operations)
        bytes += operation.key.length + (operation.type === 'put' ? operation.value.length : 0)
      return index > 0 && bytes > groupBytes
    })
    return end === -1 ? this.#waiting.length : end
  }
}
