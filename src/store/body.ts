/** Moves a body's chunks to where they are kept, and lets go of the body the moment it is told to stop. */
import { Readable } from 'node:stream'
import { UploadLimitError } from './errors.ts'

/** What a body flows into. */
export interface BodySink {
  /** Bytes accepted so far, what was there before included. */
  readonly accepted: number
  /** Bytes are to come, until `end`. */
  begin(): void
  /** Resolves when there is room for more. With `transfer`, may take the chunk's memory. */
  add(chunk: Uint8Array, transfer: boolean): Promise<void>
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
  body: AsyncIterable<Uint8Array>,
  { maxBytes, transfer, signal }: PumpOptions,
): Promise<void> {
  sink.begin()
  try {
    const iterator = body[Symbol.asyncIterator]()
    let done = false
    try {
      for (;;) {
        const step = await nextOrAbort(iterator, signal)
        if (step.done) break
        if (sink.accepted + step.value.length > maxBytes)
          throw new UploadLimitError('bytes', `the blob is larger than ${maxBytes} bytes`)
        await sink.add(step.value, transfer)
      }
      done = true
    } finally {
      if (!done) dismiss(body, iterator)
    }
  } finally {
    await sink.end()
  }
}

/** Not a race against one lasting promise: that would keep a reaction for each chunk of a long body. */
function nextOrAbort<T>(iterator: AsyncIterator<T>, signal: AbortSignal): Promise<IteratorResult<T>> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason)
      return
    }
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    iterator
      .next()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort))
  })
}

/** Does not wait: a body that hangs in `next()` answers `return()` only after that. */
function dismiss(body: AsyncIterable<Uint8Array>, iterator: AsyncIterator<Uint8Array>): void {
  if (body instanceof Readable) body.destroy()
  // The failure that is being thrown already says why the body was left.
  iterator.return?.().catch(() => undefined)
}
