/** One ingest worker seen from the main thread: calls and their answers. */
import { Worker } from 'node:worker_threads'
import { WorkerLostError } from './errors.ts'
import type { IngestReply, IngestRequest, IngestValue } from './ingest-protocol.ts'

/** A request that the worker could not meet, with the system's error code. */
export class IngestError extends Error {
  readonly code: string | undefined

  constructor(message: string, code: string | undefined) {
    super(message)
    this.code = code
  }
}

export class IngestThread implements AsyncDisposable {
  readonly #worker: Worker
  readonly #calls = new Map<number, PromiseWithResolvers<IngestValue>>()
  readonly #exited = Promise.withResolvers<void>()
  #nextCall = 0
  #lost: WorkerLostError | undefined

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /** `onLost` is called once when the thread ended, whoever ended it. */
  static start(onLost: (error: WorkerLostError) => void): IngestThread {
    const file = import.meta.url.endsWith('.ts') ? './ingest-worker.ts' : './ingest-worker.js'
    const worker = new Worker(new URL(file, import.meta.url), { name: 'ingest' })
    const thread = new IngestThread(worker)
    let cause: unknown
    worker.on('message', (reply: IngestReply) => thread.#settle(reply))
    worker.on('error', (error) => {
      cause = error
    })
    worker.once('exit', () => {
      const lost = new WorkerLostError('the thread that writes uploads ended', { cause })
      thread.#lose(lost)
      onLost(lost)
    })
    // An idle store must not keep the process alive; pending calls do.
    worker.unref()
    return thread
  }

  get isLost(): boolean {
    return this.#lost !== undefined
  }

  /** Throws IngestError, or WorkerLostError. */
  async call(request: IngestRequest, transfer: ArrayBuffer[] = []): Promise<IngestValue> {
    if (this.#lost !== undefined) throw this.#lost
    const call = this.#nextCall++
    const answer = Promise.withResolvers<IngestValue>()
    this.#calls.set(call, answer)
    if (this.#calls.size === 1) this.#worker.ref()
    try {
      this.#worker.postMessage({ call, request }, transfer)
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

  #settle({ call, value, error }: IngestReply): void {
    const answer = this.#calls.get(call)
    this.#calls.delete(call)
    if (this.#calls.size === 0) this.#worker.unref()
    if (value !== undefined) answer?.resolve(value)
    else answer?.reject(new IngestError(error?.message ?? 'no answer', error?.code))
  }

  #lose(lost: WorkerLostError): void {
    this.#lost = lost
    for (const answer of this.#calls.values()) answer.reject(lost)
    this.#calls.clear()
    this.#exited.resolve()
  }
}
