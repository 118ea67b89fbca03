/** A request's body as chunks: by events, since a stream's own iterator costs several times as much for each of them. */
import type { IncomingMessage } from 'node:http'
import { Fifo } from '../base/base.ts'
import { ClientGoneError } from './exchange.ts'

/** Read ahead of the consumer at most; a socket's chunk more may be on its way. */
const maxQueuedBytes = 512 * 1024
/** What a chunk costs besides its bytes: a client may send them one by one. */
const chunkCostBytes = 128

/**
 * To be iterated once. A connection that breaks off is a ClientGoneError, never a short body. Leaving early pauses the
 * request and keeps its socket, over which the refusal still has to be sent.
 */
export class RequestBody implements AsyncIterableIterator<Buffer> {
  readonly #request: IncomingMessage
  readonly #queue = new Fifo<Buffer>()
  #queuedBytes = 0
  #ended = false
  #failure: Error | undefined
  #waiting: PromiseWithResolvers<IteratorResult<Buffer>> | undefined

  readonly #onData = (chunk: Buffer): void => {
    if (this.#waiting !== undefined) {
      this.#answer((waiting) => waiting.resolve({ done: false, value: chunk }))
      return
    }
    this.#queue.push(chunk)
    this.#queuedBytes += chunk.length + chunkCostBytes
    if (this.#queuedBytes >= maxQueuedBytes) this.#request.pause()
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#answer((waiting) => waiting.resolve({ done: true, value: undefined }))
  }

  readonly #onClose = (): void => {
    if (this.#ended) return
    const failure = new ClientGoneError()
    this.#failure = failure
    this.#answer((waiting) => waiting.reject(failure))
  }

  constructor(request: IncomingMessage) {
    this.#request = request
    // An error is followed by the close that tells the same; unheard it would end the process.
    request
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('close', this.#onClose)
      .on('error', this.#onClose)
  }

  next(): Promise<IteratorResult<Buffer>> {
    const chunk = this.#queue.shift()
    if (chunk !== undefined) {
      this.#queuedBytes -= chunk.length + chunkCostBytes
      if (this.#queuedBytes < maxQueuedBytes) this.#request.resume()
      return Promise.resolve({ done: false, value: chunk })
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#request.destroyed) return Promise.reject(new ClientGoneError())
    this.#waiting = Promise.withResolvers()
    return this.#waiting.promise
  }

  return(): Promise<IteratorResult<Buffer>> {
    this.#request.off('data', this.#onData)
    this.#request.pause()
    this.#queue.clear()
    this.#onEnd()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #answer(how: (waiting: PromiseWithResolvers<IteratorResult<Buffer>>) => void): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting !== undefined) how(waiting)
  }
}
