/** A request's body as chunks: by events, since a stream's own iterator costs several times as much for each of them. */
import type { IncomingMessage } from 'node:http'
import { Fifo } from '../base/base.ts'
import type { BodyKind, BodyWatch, ComingBody } from './body-watch.ts'
import { ClientGoneError } from './exchange.ts'

/** What a chunk costs besides its bytes: a client may send them one by one. */
const chunkCostBytes = 128

/**
 * To be iterated once. A connection that breaks off is a ClientGoneError, never a short body, and one that brings it too slowly
 * a `REQUEST_TIMEOUT`. Leaving early pauses the
 * request and keeps its socket, over which the refusal still has to be sent.
 */
export class RequestBody implements AsyncIterableIterator<Buffer>, Disposable {
  readonly #request: IncomingMessage
  readonly #queue = new Fifo<Buffer>()
  readonly #watch: BodyWatch
  readonly #coming: ComingBody
  #queuedBytes = 0
  #isOnHold = false
  #ended = false
  #failure: Error | undefined
  #waiting: PromiseWithResolvers<IteratorResult<Buffer>> | undefined

  readonly #onData = (chunk: Buffer): void => {
    this.#coming.arrived(chunk.length)
    if (this.#waiting !== undefined) {
      this.#answer((waiting) => waiting.resolve({ done: false, value: chunk }))
      return
    }
    this.#queue.push(chunk)
    this.#queuedBytes += chunk.length + chunkCostBytes
    if (this.#queuedBytes >= this.#watch.aheadBytes) this.#request.pause()
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#coming.close()
    this.#answer((waiting) => waiting.resolve({ done: true, value: undefined }))
  }

  readonly #onClose = (): void => {
    if (this.#ended) return
    this.#fail(new ClientGoneError())
  }

  constructor(request: IncomingMessage, watch: BodyWatch, kind: BodyKind) {
    this.#request = request
    this.#watch = watch
    this.#coming = watch.open(kind, lengthOf(request), {
      pause: () => {
        this.#isOnHold = true
        request.pause()
      },
      resume: () => {
        this.#isOnHold = false
        request.resume()
      },
      fail: (error) => {
        this.#leave()
        this.#fail(error)
      },
    })
    // An error is followed by the close that tells the same; unheard it would end the process.
    request
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('close', this.#onClose)
      .on('error', this.#onClose)
  }

  next(): Promise<IteratorResult<Buffer>> {
    const chunk = this.takeQueued()
    if (chunk !== undefined) return Promise.resolve({ done: false, value: chunk })
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#request.destroyed) return Promise.reject(new ClientGoneError())
    this.#waiting = Promise.withResolvers()
    this.#coming.wait(true)
    return this.#waiting.promise
  }

  /** The next chunk, where it is here already. */
  takeQueued(): Buffer | undefined {
    const chunk = this.#queue.shift()
    if (chunk === undefined) return undefined
    this.#queuedBytes -= chunk.length + chunkCostBytes
    if (this.#queuedBytes < this.#watch.aheadBytes && !this.#isOnHold) this.#request.resume()
    return chunk
  }

  return(): Promise<IteratorResult<Buffer>> {
    this.#leave()
    this.#onEnd()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Nobody needs what arrived any more; until then it counts as held. */
  [Symbol.dispose](): void {
    this.#leave()
    this.#coming[Symbol.dispose]()
  }

  #leave(): void {
    this.#request.off('data', this.#onData)
    this.#request.pause()
    this.#queue.clear()
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#coming.close()
    this.#answer((waiting) => waiting.reject(error))
  }

  #answer(how: (waiting: PromiseWithResolvers<IteratorResult<Buffer>>) => void): void {
    const waiting = this.#waiting
    if (waiting === undefined) return
    this.#waiting = undefined
    this.#coming.wait(false)
    how(waiting)
  }
}

function lengthOf({ headers }: IncomingMessage): number | undefined {
  const length = headers['content-length']
  return length === undefined ? undefined : Number(length)
}
