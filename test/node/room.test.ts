/** A node that mirrors far more than its disk holds. */
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Content, contentsOf, type Image, makeImage } from '../e2e/image.ts'
import { type LiveNode, openLiveNode } from './live-node.ts'

const kib = 1024
const maxDiskBytes = 5 * 1024 * kib
const images = Array.from({ length: 30 }, (_, n) =>
  makeImage({ seed: `image ${n}`, layerBytes: [512 * kib] }),
)

let upstream: Server
let node: LiveNode

/** A registry that has them all, each under a tag of its number. */
async function openUpstream(): Promise<Server> {
  const byDigest = new Map<string, Content>()
  for (const image of images)
    for (const content of contentsOf(image)) byDigest.set(content.descriptor.digest, content)
  const server = createServer((request, response) => {
    const last = request.url?.split('/').at(-1) ?? ''
    const content = byDigest.get(last) ?? images[Number(last)]?.manifest
    if (content === undefined) {
      response.writeHead(request.url === '/v2/' ? 200 : 404).end()
      return
    }
    const { mediaType, digest } = content.descriptor
    response.writeHead(200, {
      'Content-Type': mediaType,
      'Docker-Content-Digest': digest,
      'Content-Length': content.bytes.length,
    })
    response.end(request.method === 'HEAD' ? undefined : content.bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

beforeEach(async () => {
  upstream = await openUpstream()
  const { port } = upstream.address() as AddressInfo
  const flags = ['--upstream', `docker.io=http://127.0.0.1:${port}`, '--min-free', '0', '--mirror-ttl', '1h']
  node = await openLiveNode([...flags, '--max-disk', String(maxDiskBytes)])
})
afterEach(async () => {
  await node[Symbol.asyncDispose]()
  upstream.closeAllConnections()
  upstream.close()
})

interface Answer {
  status: number
  body: Buffer
}

/** On a connection of its own: one that is kept may be closed while it is asked again. */
function get(path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request(`${node.url}${path}`, { agent: false }, async (answer) => {
      try {
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(await answer.toArray()) })
      } catch (error) {
        reject(error)
      }
    })
    asking.once('error', reject)
    asking.end()
  })
}

const base = '/v2/docker.io/library/app'

async function pull(image: Image, tag: string): Promise<number> {
  const manifest = await get(`${base}/manifests/${tag}`)
  if (manifest.status !== 200) return manifest.status
  expect(manifest.body.equals(image.manifest.bytes)).toBe(true)
  for (const { descriptor, bytes } of [image.config, ...image.layers]) {
    const blob = await get(`${base}/blobs/${descriptor.digest}`)
    if (blob.status !== 200) return blob.status
    expect(blob.body.equals(bytes)).toBe(true)
  }
  return 200
}

const metric = async (name: string): Promise<number> => {
  const { body } = await get('/metrics')
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(body.toString())?.[1])
}

describe('a node with less room than its upstream has images', () => {
  it('fails no pull, is never full, and has what was used last', { timeout: 60_000 }, async () => {
    for (const [n, image] of images.entries()) {
      expect(await pull(image, String(n))).toBe(200)
      expect(await metric('shoal_room_filled_bytes')).toBeLessThanOrEqual(maxDiskBytes)
      expect((await get('/readyz')).status).toBe(200)
    }
    // A third of what its disk holds is a few of the last.
    upstream.closeAllConnections()
    upstream.close()
    for (const n of [29, 28, 27]) expect(await pull(images[n] as Image, String(n))).toBe(200)
    // What went keeps its tag; only its bytes are not to be had now.
    const gone = await get(`${base}/blobs/${images[0]?.layers[0]?.descriptor.digest}`)
    expect(gone.status).toBe(503)
    expect((await get(`${base}/manifests/0`)).status).toBe(200)
  })

  it('has what went again from its upstream', { timeout: 60_000 }, async () => {
    for (const [n, image] of images.slice(0, 14).entries()) expect(await pull(image, String(n))).toBe(200)
    for (const [n, image] of images.slice(0, 14).entries()) expect(await pull(image, String(n))).toBe(200)
  })
})
