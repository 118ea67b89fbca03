/** A registry outside the cluster as tests need it: content by path, and behaviour that a test puts in the way. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type Digest, digestBytes, mediaTypes } from '../../src/oci/oci.ts'

export interface SeenRequest {
  method: string
  path: string
  headers: IncomingMessage['headers']
}

export interface FakeUpstream extends AsyncDisposable {
  /** By the name `localhost` or by the address, as the options say. */
  readonly url: URL
  /** Every request that came, in order. */
  readonly seen: SeenRequest[]
  /** Put in the way of the content; returns whether it answers. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean
  putBlob(repository: string, bytes: Uint8Array): Digest
  /** As if the request had come to it. */
  serve: RequestListener
  /** By its digest, and by a tag where one is given. */
  putManifest(repository: string, manifest: object, tag?: string): { digest: Digest; bytes: Buffer }
}

export interface FakeUpstreamOptions {
  /** PEM; with both it speaks TLS. */
  tls?: { key: string; cert: string }
  host?: string
}

export async function openFakeUpstream(options: FakeUpstreamOptions = {}): Promise<FakeUpstream> {
  const { tls, host = '127.0.0.1' } = options
  const content = new Map<string, { bytes: Uint8Array; digest: Digest; mediaType: string }>()
  const seen: SeenRequest[] = []

  const answer: RequestListener = (request, response) => {
    const { method = '', url = '', headers } = request
    // A proxy is given the whole URL.
    const path = url.replace(/^http:\/\/[^/]+/, '')
    seen.push({ method, path, headers })
    if (upstream.intercept(request, response)) return
    if (path === '/v2/') {
      response.end('{}')
      return
    }
    const found = content.get(path)
    if (found === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"errors":[]}')
      return
    }
    const { bytes, digest, mediaType } = found
    const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0)
    response.writeHead(start === 0 ? 200 : 206, {
      'content-type': mediaType,
      'content-length': bytes.length - start,
      'docker-content-digest': digest,
      ...(start === 0 ? {} : { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` }),
    })
    response.end(method === 'HEAD' ? undefined : bytes.subarray(start))
  }
  const server = tls === undefined ? createServer(answer) : createTlsServer(tls, answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  const upstream: FakeUpstream = {
    url: new URL(`${tls === undefined ? 'http' : 'https'}://${host}:${port}`),
    seen,
    intercept: () => false,
    serve: answer,
    putBlob(repository, bytes) {
      const digest = digestBytes(bytes)
      content.set(`/v2/${repository}/blobs/${digest}`, {
        bytes,
        digest,
        mediaType: 'application/octet-stream',
      })
      return digest
    },
    putManifest(repository, manifest, tag) {
      const { mediaType = mediaTypes.ociManifest } = manifest as { mediaType?: string }
      const bytes = Buffer.from(JSON.stringify(manifest))
      const digest = digestBytes(bytes)
      for (const reference of tag === undefined ? [digest] : [digest, tag])
        content.set(`/v2/${repository}/manifests/${reference}`, { bytes, digest, mediaType })
      return { digest, bytes }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}

/** A manifest of an image without layers. */
export function emptyImage(seed = ''): object {
  const config = { mediaType: mediaTypes.ociEmpty, digest: digestBytes(Buffer.from('{}')), size: 2 }
  return {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: [],
    annotations: { seed },
  }
}
