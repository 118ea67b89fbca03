/** Request bodies: read whole within a limit, or left behind without hurting the connection's other half. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { OciError } from '../oci/oci.ts'
import { RequestBody } from './request-body.ts'

/** How much of an unwanted body is read so that its sender gets to see the answer. */
const maxDrainBytes = 4 * 1024 * 1024
const maxDrainMs = 5_000

/** Throws `MANIFEST_TOO_LARGE` as soon as the limit is known to be passed. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = () =>
    new OciError('MANIFEST_TOO_LARGE', `the body is larger than the ${maxBytes} bytes accepted here`)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of new RequestBody(request)) {
    length += chunk.length
    if (length > maxBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, length)
}

export function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
  )
}

/**
 * Call before answering a request whose body was not read. Closing at once would reset the connection before
 * the client has read the answer; reading on without a bound would let it send for ever.
 */
export function leaveBody(request: IncomingMessage, response: ServerResponse): void {
  if (request.complete || request.destroyed) return
  response.setHeader('Connection', 'close')
  let drained = 0
  const stop = () => request.socket.destroy()
  const timer = setTimeout(stop, maxDrainMs)
  request.once('close', () => clearTimeout(timer))
  request.on('data', (chunk: Buffer) => {
    drained += chunk.length
    if (drained > maxDrainBytes) stop()
  })
  request.resume()
}
