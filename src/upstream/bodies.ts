/** Bodies of answers: small ones whole and bounded, those of blobs as they come, and none longer than it said. */
import type { Readable } from 'node:stream'
import { noteSpent } from '../base/base.ts'
import type { Availability } from './availability.ts'
import { describeFailure } from './failure.ts'
import { type Answer, AnswerTimeoutError } from './transport.ts'

/** However little of it comes at a time, a small answer is not waited for longer. */
const smallBodyMs = 30_000
/** What is read to its end, so that the connection can be used again. */
const discardBytes = 64 * 1024
const discardMs = 1_000

/** The whole body. Throws UpstreamUnavailableError where it is longer than `maxBytes` or does not come to its end. */
export async function readWhole(
  answer: Answer,
  maxBytes: number,
  availability: Availability,
  { signal }: { signal?: AbortSignal | undefined },
): Promise<Buffer> {
  const { body } = answer
  const chunks: Buffer[] = []
  let length = 0
  const timer = setTimeout(() => body.destroy(new AnswerTimeoutError()), smallBodyMs)
  try {
    for await (const chunk of readParts(answer, availability, { signal })) {
      length += chunk.length
      if (length > maxBytes)
        throw availability.trouble('wrong', `sent an answer of more than ${maxBytes} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    clearTimeout(timer)
  }
}

/** The body as it comes; leaving early ends the connection. Failures are told in words, the caller's own as they are. */
export async function* readParts(
  { body }: Answer,
  availability: Availability,
  { signal }: { signal?: AbortSignal | undefined },
): AsyncGenerator<Buffer, void, undefined> {
  const parts = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await parts.next().catch((error: unknown) => {
        signal?.throwIfAborted()
        throw availability.trouble('unreachable', describeFailure(error), { cause: error })
      })
      if (next.done === true) return
      yield next.value
      noteSpent(next.value.length)
    }
  } finally {
    body.destroy()
  }
}

/** Reads and forgets a body that says nothing, up to a limit. */
export function discard(body: Readable): void {
  const timer = setTimeout(() => body.destroy(), discardMs).unref()
  let length = 0
  body.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > discardBytes) body.destroy()
  })
  body.once('close', () => clearTimeout(timer))
}
