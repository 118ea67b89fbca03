/** Moves a body's chunks to where they are kept, and lets go of the body the moment it is told to stop. */
import { Readable } from 'node:stream'
import { UploadLimitError } from '../errors.ts'

/** A body whose chunks may be here already: what a socket gave at once is cut where the client's chunks of HTTP end. */
export interface QueuedBody extends AsyncIterable<Uint8Array> {
  /** The next chunk where it waits here; a promise for each piece costs more than moving it. */
  takeQueued(): Uint8Array | undefined
}

/** What a body flows into. */
export interface BodySink {
  /** Bytes accepted so far, what was there before included. */
  readonly accepted: number
  /** Bytes are to come, until `end`. */
  begin(): void
  /** Resolves when there is room for more; no promise where there is. With `transfer`, may take the chunk's memory. */
  add(chunk: Uint8Array, transfer: boolean): Promise<void> | undefined
  /** Writes what was accepted. */
  end(): Promise<void>
}

export interface PumpOptions {
  maxBytes: number
  transfer: boolean
  signal: AbortSignal
}

/**
 * Resolves when the body ended and all of it is written. Throws the body's failure, the signal's reason, or what the
 * writing failed with; what was accepted until then is written.
 */
export async function pump(
  sink: BodySink,
  body: AsyncIterable<Uint8Array> | QueuedBody,
  { maxBytes, transfer, signal }: PumpOptions,
): Promise<void> {
  sink.begin()
  try {
    const iterator = body[Symbol.asyncIterator]()
    const queued = 'takeQueued' in body ? () => body.takeQueued() : undefined
    let done = false
    try {
      using steps = new Steps(iterator, signal)
      for (;;) {
        const step = await steps.next()
        if (step.done) break
        for (let chunk: Uint8Array | undefined = step.value; chunk !== undefined; chunk = queued?.()) {
          if (sink.accepted + chunk.length > maxBytes)
            throw new UploadLimitError('bytes', `the blob is larger than ${maxBytes} bytes`)
          const adding = sink.add(chunk, transfer)
          if (adding !== undefined) await adding
          signal.throwIfAborted()
        }
      }
      done = true
    } finally {
      if (!done) dismiss(body, iterator)
    }
  } finally {
    await sink.end()
  }
}

/**
 * `next()` that gives up when the signal aborts. One listener for the whole body: one for each chunk costs as much as
 * the chunk, and a race against one lasting promise would keep a reaction for each.
 */
class Steps implements Disposable {
  readonly #iterator: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal
  readonly #onAbort = (): void => this.#waiting?.(this.#signal.reason)
  #waiting: ((reason: unknown) => void) | undefined

  constructor(iterator: AsyncIterator<Uint8Array>, signal: AbortSignal) {
    this.#iterator = iterator
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort)
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      this.#signal.throwIfAborted()
      this.#waiting = reject
      this.#iterator.next().then(resolve, reject)
    })
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
  }
}

/** Does not wait: a body that hangs in `next()` answers `return()` only after that. */
function dismiss(body: AsyncIterable<Uint8Array>, iterator: AsyncIterator<Uint8Array>): void {
  if (body instanceof Readable) body.destroy()
  // The failure that is being thrown already says why the body was left.
  iterator.return?.().catch(() => undefined)
}
