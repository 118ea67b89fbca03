/** Images to push: a small one by plain requests, and a folder in skopeo's `dir:` layout. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { pushBytes } from './load.ts'
import { expectStatus } from './request.ts'
import type { Registry } from './subject.ts'

export const manifestType = 'application/vnd.oci.image.manifest.v1+json'
export const configType = 'application/vnd.oci.image.config.v1+json'
export const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
const smallLayers = 10

interface Descriptor {
  mediaType: string
  digest: string
  size: number
}

/** Pushes an image of ten tiny layers, whose manifest is about 1.8 KB, under `tag`. */
export async function pushSmallImage(
  registry: Registry,
  repository: string,
  tag: string,
  options: { signal: AbortSignal },
): Promise<void> {
  const push = async (mediaType: string, body: Uint8Array): Promise<Descriptor> => {
    const digest = await pushBytes(registry, repository, body, options)
    return { mediaType, digest, size: body.length }
  }
  const config = await push(configType, Buffer.from('{}'))
  const layers: Descriptor[] = []
  for (let index = 0; index < smallLayers; index += 1) layers.push(await push(layerType, randomBytes(200)))
  const url = `${registry.url}/v2/${repository}/manifests/${tag}`
  const body = Buffer.from(renderManifest(config, layers))
  await expectStatus(201, url, { method: 'PUT', headers: { 'content-type': manifestType }, body, ...options })
}

/** Writes an image of new content in the `dir:` layout: each layer is valid gzip that does not compress. */
export async function writeImage(folder: string, count: number, layerBytes: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const base = randomBytes(layerBytes)
  const layers: Descriptor[] = []
  for (let index = 0; index < count; index += 1) {
    randomBytes(64).copy(base)
    layers.push(await writeBlob(folder, layerType, gzipSync(base, { level: 0 })))
  }
  const diffs = layers.map(() => `sha256:${randomBytes(32).toString('hex')}`)
  const image = {
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: diffs },
  }
  const config = await writeBlob(folder, configType, Buffer.from(JSON.stringify(image)))
  await writeFile(path.join(folder, 'manifest.json'), renderManifest(config, layers))
  await writeFile(path.join(folder, 'version'), 'Directory Transport Version: 1.1\n')
}

async function writeBlob(folder: string, mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
  const hex = createHash('sha256').update(bytes).digest('hex')
  await writeFile(path.join(folder, hex), bytes)
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length }
}

export function renderManifest(config: Descriptor, layers: readonly Descriptor[]): string {
  return JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config, layers })
}
