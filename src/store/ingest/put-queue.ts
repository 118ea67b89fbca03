/** Small files that are to be put: those that come while others are being synced go together, in one call of a thread. */
import { WorkerCallError } from '../threads/worker-thread.ts'
import type { PutOutcome, WholeFile } from './whole-files.ts'

/** Of one call: it is open files, and who comes next waits for it. */
const maxFiles = 64

interface Waiting {
  file: WholeFile
  done: PromiseWithResolvers<number>
}

export class PutQueue {
  readonly #call: (files: WholeFile[]) => Promise<PutOutcome[]>
  readonly #waiting: Waiting[] = []
  #isPutting = false

  constructor(call: (files: WholeFile[]) => Promise<PutOutcome[]>) {
    this.#call = call
  }

  /** Resolves to how much of the disk the file took that had the name. Throws WorkerCallError, or what the call threw. */
  async put(file: WholeFile): Promise<number> {
    const done = Promise.withResolvers<number>()
    this.#waiting.push({ file, done })
    if (!this.#isPutting) void this.#putAll()
    return await done.promise
  }

  async #putAll(): Promise<void> {
    this.#isPutting = true
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, maxFiles)
      try {
        const outcomes = await this.#call(group.map(({ file }) => file))
        for (const [index, { done }] of group.entries()) settle(done, outcomes[index])
      } catch (error) {
        for (const { done } of group) done.reject(error)
      }
    }
    this.#isPutting = false
  }
}

function settle(done: PromiseWithResolvers<number>, outcome: PutOutcome | undefined): void {
  if (outcome === undefined) done.reject(new WorkerCallError('no answer', undefined))
  else if ('error' in outcome) done.reject(new WorkerCallError(outcome.error.message, outcome.error.code))
  else done.resolve(outcome.replacedBytes)
}
