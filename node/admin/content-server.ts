/**
 * Content over the admin socket, for a command that has the files while the node has the store: they may run as different
 * users, with different folders. `GET` and `PUT /content/DIGEST`; what is read may be a blob or a manifest.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { CodedError } from '../../src/base/base.ts'
import { type Digest, OciError, parseDigest, parseRepository, type Repository } from '../../src/oci/oci.ts'
import { pour } from '../chunks.ts'
import type { OperationContext } from '../operations/operations.ts'

/** Answers a request for content; false when it is none. */
export type ContentHandler = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>

type Content = Pick<OperationContext, 'node' | 'registry'>

/** Requests wait for what they are answered from. */
export function contentHandler(given: Content | Promise<Content>): ContentHandler {
  return async (request, response) => {
    const [, name, query = ''] = /^\/content\/([a-z0-9:]+)(?:\?(.*))?$/.exec(request.url ?? '') ?? []
    if (name === undefined || (request.method !== 'GET' && request.method !== 'PUT')) return false
    const controller = new AbortController()
    response.once('close', () => controller.abort(new Error('the command went away')))
    try {
      const context = await given
      const digest = parseDigest(name)
      if (request.method === 'PUT') {
        const options = { transfer: true, signal: controller.signal }
        // Not the request itself: a store that gives up would close the connection before it was told why.
        await context.node.store.blobs.write(digest, request.iterator({ destroyOnReturn: false }), options)
        response.writeHead(201).end()
      } else {
        const repository = parseRepository(new URLSearchParams(query).get('repository') ?? '')
        await send(context, repository, digest, response, controller.signal)
      }
    } catch (error) {
      if (error === controller.signal.reason) return true
      if (!(error instanceof CodedError) || response.headersSent) throw error
      const { code, message } = error
      response
        .writeHead(400, { 'Content-Type': 'application/json' })
        .end(JSON.stringify({ error: { code, message } }))
      request.resume()
    }
    return true
  }
}

async function send(
  { node, registry }: Content,
  repository: Repository,
  digest: Digest,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const manifest = await node.store.manifests.get(digest)
  if (manifest !== undefined) {
    if (!(await node.store.links.has(repository, digest)))
      throw new OciError('MANIFEST_UNKNOWN', `${repository} has no manifest ${digest}`)
    response.writeHead(200, { 'Content-Length': manifest.length }).end(manifest)
    return
  }
  await using blob = await registry.pull.openBlob(repository, digest, { signal })
  response.writeHead(200, { 'Content-Length': blob.size })
  await pour(blob.chunks(0, blob.size, { signal }), response)
}
