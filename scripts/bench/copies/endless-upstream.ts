/** A registry outside whose images are made while they are read, so that they take no disk: one base, and a few bytes at its end that differ. */
import { createHash, randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { manifestType } from '../image.ts'
import { config, configDigest } from '../swarm/image.ts'

export interface EndlessImage {
  readonly tag: string
  readonly layerDigest: string
}

export interface EndlessUpstream extends AsyncDisposable {
  readonly url: string
  readonly layerBytes: number
  image(number: number): EndlessImage
}

export const endlessRepository = 'public/endless'
const trailerBytes = 64
const chunkBytes = 2 ** 20

export async function openEndlessUpstream(layerBytes: number): Promise<EndlessUpstream> {
  const base = randomFillSync(Buffer.allocUnsafe(layerBytes - trailerBytes))
  const prefix = createHash('sha256').update(base)
  const trailers = new Map<string, Buffer>()
  const manifests = new Map<string, Buffer>()
  const images: EndlessImage[] = []

  const image = (number: number): EndlessImage => {
    const known = images[number]
    if (known !== undefined) return known
    const trailer = Buffer.alloc(trailerBytes, `image ${number} `)
    const layerDigest = `sha256:${prefix.copy().update(trailer).digest('hex')}`
    trailers.set(layerDigest, trailer)
    const tag = `v${number}`
    const manifest = manifestOf(layerDigest, layerBytes)
    manifests.set(tag, manifest).set(digestOf(manifest), manifest)
    const made = { tag, layerDigest }
    images[number] = made
    return made
  }

  const answer = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const [, kind, name = ''] = /\/(manifests|blobs)\/([^/]+)$/.exec(request.url ?? '') ?? []
    const manifest = kind === 'manifests' ? manifests.get(name) : undefined
    const trailer = kind === 'blobs' ? trailers.get(name) : undefined
    if (manifest !== undefined) {
      response.setHeader('content-type', manifestType)
      response.setHeader('docker-content-digest', digestOf(manifest))
      send(request, response, manifest)
    } else if (name === configDigest) send(request, response, config)
    else if (trailer !== undefined) {
      response.setHeader('content-length', layerBytes)
      if (request.method === 'HEAD') response.end()
      else await pipeline(Readable.from(layer(base, trailer)), response)
    } else {
      response.statusCode = request.url === '/v2/' ? 200 : 404
      response.end()
    }
  }
  const server = http.createServer((request, response) => {
    // Whoever leaves in the middle has left.
    answer(request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    layerBytes,
    image,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function* layer(base: Buffer, trailer: Buffer): Generator<Buffer> {
  for (let at = 0; at < base.length; at += chunkBytes) yield base.subarray(at, at + chunkBytes)
  yield trailer
}

function send(request: http.IncomingMessage, response: http.ServerResponse, bytes: Buffer): void {
  response.setHeader('content-length', bytes.length)
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

function manifestOf(layerDigest: string, layerBytes: number): Buffer {
  const describe = (mediaType: string, digest: string, size: number) => ({ mediaType, digest, size })
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: describe('application/vnd.oci.image.config.v1+json', configDigest, config.length),
      layers: [describe('application/vnd.oci.image.layer.v1.tar', layerDigest, layerBytes)],
    }),
  )
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
