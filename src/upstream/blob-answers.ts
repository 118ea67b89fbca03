/** Blobs as an upstream answers them: where the body begins, how long it is, and no byte more or less than that. */
import type { Availability } from './availability.ts'
import { readParts } from './bodies.ts'
import { lengthOf } from './manifests.ts'
import type { Answer } from './transport.ts'

/** The part of a blob that an answer to a request for all from `wanted` on carries. Throws UpstreamUnavailableError. */
export function readBlobHead(
  { status, headers }: Answer,
  wanted: number,
  availability: Availability,
): { start: number; size: number } {
  if (status === 200) {
    const size = lengthOf(headers)
    if (size !== undefined) return { start: 0, size }
    throw availability.trouble('wrong', 'does not say how long a blob is')
  }
  const range = headers['content-range'] ?? ''
  const [, first, last, size] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(range) ?? []
  if (Number(first) !== wanted || Number(last) !== Number(size) - 1) {
    throw availability.trouble('wrong', `answers a request for all bytes from ${wanted} on with others`)
  }
  return { start: wanted, size: Number(size) }
}

/** Exactly `length` bytes. */
export async function* readExactly(
  answer: Answer,
  length: number,
  availability: Availability,
  options: { signal?: AbortSignal; onBytes: (count: number) => Promise<void> },
): AsyncGenerator<Uint8Array, void, undefined> {
  let received = 0
  for await (const chunk of readParts(answer, availability, options)) {
    received += chunk.length
    if (received > length)
      throw availability.trouble('wrong', `sent more than the ${length} bytes that it said`)
    await options.onBytes(chunk.length)
    yield chunk
  }
  if (received < length) {
    throw availability.trouble('wrong', `sent only ${received} of the ${length} bytes that it said`)
  }
}
