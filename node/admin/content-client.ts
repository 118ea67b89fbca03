/** A command's way to a node's content, over the admin socket. */
import type { IncomingMessage } from 'node:http'
import type { Digest, Repository } from '../../src/oci/oci.ts'
import { pour, readUpTo } from '../chunks.ts'
import { request } from '../node-http.ts'
import { OperationError } from './client.ts'
import { socketPath } from './protocol.ts'

const maxRefusalBytes = 64 * 1024

export interface ContentClient {
  /** The bytes of a blob or a manifest. Throws OperationError when it cannot be had. */
  read(repository: Repository, digest: Digest): AsyncGenerator<Uint8Array>
  /** Puts a blob into the store, durable when it resolves. Throws OperationError when the bytes are not the digest's. */
  write(digest: Digest, size: number, chunks: AsyncIterable<Uint8Array>): Promise<void>
}

export function contentClient(dataDirectory: string): ContentClient {
  const path = socketPath(dataDirectory)
  return {
    async *read(repository, digest) {
      const query = new URLSearchParams({ repository })
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        request({ socketPath: path, path: `/content/${digest}?${query}` }, resolve)
          .on('error', reject)
          .end()
      })
      if (answer.statusCode !== 200) throw await refusal(answer)
      yield* answer as AsyncIterable<Uint8Array>
    },
    async write(digest, size, chunks) {
      const headers = { 'Content-Length': size }
      const call = request({ socketPath: path, path: `/content/${digest}`, method: 'PUT', headers })
      const answered = new Promise<IncomingMessage>((resolve, reject) =>
        call.on('response', resolve).on('error', reject),
      )
      const sent = pour(chunks, call)
      // A refusal comes before everything was sent, and says more than the broken pipe does.
      const answer = await Promise.race([answered, sent.then(() => answered)]).catch(
        async (error: unknown) => {
          await sent.catch(() => undefined)
          throw error
        },
      )
      if (answer.statusCode !== 201) {
        const refused = await refusal(answer)
        // The rest of what is being sent is of no use any more.
        call.destroy()
        await sent.catch(() => undefined)
        throw refused
      }
      await sent
      answer.resume()
    },
  }
}

async function refusal(answer: IncomingMessage): Promise<OperationError> {
  const body = await readUpTo(answer, maxRefusalBytes)
  if (body === undefined || answer.headers['content-type'] !== 'application/json')
    return new OperationError('NODE_FAILED', `the node answered ${answer.statusCode}; its log says why`)
  const { error } = JSON.parse(body.toString('utf8')) as { error: { code: string; message: string } }
  return new OperationError(error.code, error.message)
}
