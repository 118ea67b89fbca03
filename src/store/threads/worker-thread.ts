/** A worker thread seen from the main thread: calls, and their answers in any order. */
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { WorkerLostError } from '../errors.ts'
import type { WorkerCall, WorkerReply } from './worker-calls.ts'

/** A request that the worker could not meet, with the system's error code. */
export class WorkerCallError extends Error {
  readonly code: string | undefined

  constructor(message: string, code: string | undefined) {
    super(message)
    this.code = code
  }
}

export class WorkerThread<Request, Value> implements AsyncDisposable {
  readonly #worker: Worker
  readonly #calls = new Map<number, PromiseWithResolvers<Value>>()
  readonly #exited = Promise.withResolvers<void>()
  #nextCall = 0
  #lost: WorkerLostError | undefined

  /** `onLost` is called once when the thread ended, whoever ended it. */
  constructor(worker: Worker, onLost: (error: WorkerLostError) => void) {
    this.#worker = worker
    let cause: unknown
    worker.on('message', (reply: WorkerReply<Value>) => this.#settle(reply))
    worker.on('error', (error) => {
      cause = error
    })
    worker.once('exit', () => {
      const lost = new WorkerLostError('a thread of the store ended', { cause })
      this.#lose(lost)
      onLost(lost)
    })
    // An idle store must not keep the process alive; pending calls do.
    worker.unref()
  }

  get isLost(): boolean {
    return this.#lost !== undefined
  }

  /** Throws WorkerCallError, or WorkerLostError. */
  async call(request: Request, transfer: ArrayBuffer[] = []): Promise<Value> {
    if (this.#lost !== undefined) throw this.#lost
    const call = this.#nextCall++
    const answer = Promise.withResolvers<Value>()
    this.#calls.set(call, answer)
    if (this.#calls.size === 1) this.#worker.ref()
    try {
      this.#worker.postMessage({ call, request } satisfies WorkerCall<Request>, transfer)
    } catch (error) {
      this.#calls.delete(call)
      throw error
    }
    return await answer.promise
  }

  /** Ends the thread as a crash would. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
    await this.#exited.promise
  }

  #settle({ call, value, error }: WorkerReply<Value>): void {
    const answer = this.#calls.get(call)
    this.#calls.delete(call)
    if (this.#calls.size === 0) this.#worker.unref()
    if (value !== undefined) answer?.resolve(value)
    else answer?.reject(new WorkerCallError(error?.message ?? 'no answer', error?.code))
  }

  #lose(lost: WorkerLostError): void {
    this.#lost = lost
    for (const answer of this.#calls.values()) answer.reject(lost)
    this.#calls.clear()
    this.#exited.resolve()
  }
}

/**
 * Starts threads of a file beside `module`, whether that runs as source or as built. What is built is one file, and read now: an
 * upgrade takes the files of a node that runs, which goes on taking content until it is restarted.
 */
export function threadOf(module: string, name: string): () => Worker {
  if (module.endsWith('.ts')) return () => new Worker(new URL(`./${name}.ts`, module), { name })
  const code = readFileSync(new URL(`./${name}.js`, module), 'latin1')
  return () => new Worker(code, { name, eval: true })
}
