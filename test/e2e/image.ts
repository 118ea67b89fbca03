/** Container images made in memory, without a network and byte for byte the same in every run. */
import { createCipheriv, createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { greeter } from './greeter.ts'
import { tar } from './tar.ts'

const OCI = 'application/vnd.oci.image'
const INDEX_TYPE = `${OCI}.index.v1+json`

interface Descriptor {
  mediaType: string
  digest: string
  size: number
  platform?: { architecture: string; os: string }
  annotations?: Record<string, string>
}

export interface Content {
  descriptor: Descriptor
  bytes: Buffer
}

export interface Image {
  manifest: Content
  config: Content
  layers: Content[]
}

export interface Index {
  manifest: Content
  images: Image[]
}

export interface ImageOptions {
  /** Images of one seed are the same, those of another share nothing with it but the program. */
  seed: string
  /** Bytes that each layer carries besides the program in the first; they do not compress. */
  layerBytes?: number[]
  architecture?: 'amd64' | 'arm64'
}

/** The architecture that this machine runs, as images name it. */
export const nativeArchitecture = process.arch === 'arm64' ? 'arm64' : 'amd64'

/** What the program in an image says when it runs. */
export function greeting(seed: string): string {
  return `hello from ${seed}\n`
}

/** An image of several layers whose entry point is a program that prints `greeting(seed)`. */
export function makeImage(options: ImageOptions): Image {
  const { seed, layerBytes = [200_000, 1_500_000, 70_000], architecture = nativeArchitecture } = options
  const tars = layerBytes.map((size, index) => {
    const files = [{ path: `data-${index}`, bytes: seededBytes(`${seed}/${architecture}/${index}`, size) }]
    const program = { path: 'hello', bytes: greeter(architecture, greeting(seed)), mode: 0o755 }
    return tar(index === 0 ? [program, ...files] : files)
  })
  const layers = tars.map((bytes) => content(`${OCI}.layer.v1.tar+gzip`, gzipSync(bytes, { level: 1 })))
  const config = jsonContent(`${OCI}.config.v1+json`, {
    created: '1970-01-01T00:00:00Z',
    architecture,
    os: 'linux',
    config: { Entrypoint: ['/hello'] },
    rootfs: { type: 'layers', diff_ids: tars.map(sha256) },
    history: tars.map((_, index) => ({ created: '1970-01-01T00:00:00Z', created_by: `layer ${index}` })),
  })
  const manifest = jsonContent(`${OCI}.manifest.v1+json`, {
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: config.descriptor,
    layers: layers.map(({ descriptor }) => descriptor),
  })
  return { manifest, config, layers }
}

/** An index of one image for each of two platforms. */
export function makeIndex(seed: string): Index {
  const architectures = ['amd64', 'arm64'] as const
  const images = architectures.map((architecture) =>
    makeImage({ seed, architecture, layerBytes: [90_000, 300_000] }),
  )
  const manifests = images.map(({ manifest }, index) => ({
    ...manifest.descriptor,
    platform: { architecture: architectures[index], os: 'linux' },
  }))
  return { manifest: jsonContent(INDEX_TYPE, { schemaVersion: 2, mediaType: INDEX_TYPE, manifests }), images }
}

/** Writes an OCI image layout that `skopeo` and `oras` read, with one name for each image or index. */
export async function writeLayout(folder: string, named: Record<string, Image | Index>): Promise<void> {
  const blobs = path.join(folder, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  const manifests: Descriptor[] = []
  for (const [name, item] of Object.entries(named)) {
    const annotations = { 'org.opencontainers.image.ref.name': name }
    manifests.push({ ...item.manifest.descriptor, annotations })
    for (const { descriptor, bytes } of contentsOf(item))
      await writeFile(path.join(blobs, hexOf(descriptor)), bytes)
  }
  await writeFile(path.join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  await writeFile(path.join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
}

/** An archive for `docker load` and `ctr images import`: an OCI layout that also has Docker's own list. */
export function archive(image: Image, reference: string): Buffer {
  const annotations = {
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': reference.slice(reference.lastIndexOf(':') + 1),
  }
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))
  const pathOf = ({ descriptor }: Content) => `blobs/sha256/${hexOf(descriptor)}`
  const list = [{ Config: pathOf(image.config), RepoTags: [reference], Layers: image.layers.map(pathOf) }]
  return tar([
    ...contentsOf(image).map((item) => ({ path: pathOf(item), bytes: item.bytes })),
    { path: 'oci-layout', bytes: json({ imageLayoutVersion: '1.0.0' }) },
    {
      path: 'index.json',
      bytes: json({ schemaVersion: 2, manifests: [{ ...image.manifest.descriptor, annotations }] }),
    },
    { path: 'manifest.json', bytes: json(list) },
  ])
}

/** Everything that an image or index consists of, what is referred to first. */
export function contentsOf(item: Image | Index): Content[] {
  if ('images' in item) return [...item.images.flatMap(contentsOf), item.manifest]
  return [item.config, ...item.layers, item.manifest]
}

export function jsonContent(mediaType: string, value: unknown): Content {
  return content(mediaType, Buffer.from(JSON.stringify(value)))
}

export function content(mediaType: string, bytes: Buffer): Content {
  return { descriptor: { mediaType, digest: sha256(bytes), size: bytes.length }, bytes }
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Bytes that look random and depend on the seed alone. */
export function seededBytes(seed: string, size: number): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size))
}

function hexOf({ digest }: Descriptor): string {
  return digest.slice('sha256:'.length)
}
