/** The images of a soak: small, numbered, sharing layers, and made again whenever they are needed. */
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type Content, content, jsonContent, seededBytes } from '../e2e/image.ts'
import { Random } from '../e2e/random.ts'

export const imageCount = 240
/** Every so many images one is an index of two others. */
const indexEvery = 9
const layerCount = 160

const oci = 'application/vnd.oci.image'

/** A manifest and the digests that it lists. */
export interface ManifestContent {
  readonly content: Content
  readonly blobs: string[]
  readonly manifests: string[]
}

export interface SoakImage {
  readonly manifest: ManifestContent
  /** What has to be there before the manifest, those of an index's images included. */
  readonly blobs: readonly Content[]
  readonly children: readonly ManifestContent[]
}

/** Most layers are small; some are of several pieces. */
function layerBytes(number: number): number {
  if (number % 32 === 31) return 4_000_000 + number * 1_000
  if (number % 8 === 7) return 700_000 + number * 100
  return 300 + ((number * 7_919) % 60_000)
}

function layer(number: number): Content {
  return content(`${oci}.layer.v1.tar`, seededBytes(`soak layer ${number}`, layerBytes(number)))
}

export function makeImage(number: number): SoakImage {
  return number % indexEvery === indexEvery - 1 ? index(number) : image(number)
}

function image(number: number): SoakImage {
  const random = new Random(number)
  const numbers = new Set(
    Array.from({ length: random.between(1, 4) }, () => random.between(0, layerCount - 1)),
  )
  const layers = [...numbers].map(layer)
  const config = jsonContent(`${oci}.config.v1+json`, { image: number })
  const content = jsonContent(`${oci}.manifest.v1+json`, {
    schemaVersion: 2,
    mediaType: `${oci}.manifest.v1+json`,
    config: config.descriptor,
    layers: layers.map(({ descriptor }) => descriptor),
  })
  const blobs = [config, ...layers]
  return { manifest: { content, blobs: blobs.map(digestOf), manifests: [] }, blobs, children: [] }
}

function index(number: number): SoakImage {
  const images = [image(number - 1), image(number - 2)]
  const children = images.map(({ manifest }) => manifest)
  const content = jsonContent(`${oci}.index.v1+json`, {
    schemaVersion: 2,
    mediaType: `${oci}.index.v1+json`,
    manifests: children.map((child) => child.content.descriptor),
    annotations: { index: String(number) },
  })
  const distinct = new Map(images.flatMap(({ blobs }) => blobs.map((blob) => [digestOf(blob), blob])))
  const manifests = children.map((child) => digestOf(child.content))
  return { manifest: { content, blobs: [], manifests }, blobs: [...distinct.values()], children }
}

export function digestOf({ descriptor }: Content): string {
  return descriptor.digest
}

/** An image layout that `shoal import` reads, with the image under that tag. */
export async function writeImage(
  folder: string,
  { manifest, blobs, children }: SoakImage,
  tag: string,
): Promise<void> {
  const files = path.join(folder, 'blobs/sha256')
  await mkdir(files, { recursive: true })
  const manifests = [...children, manifest].map(({ content }) => content)
  for (const { descriptor, bytes } of [...blobs, ...manifests])
    await writeFile(path.join(files, descriptor.digest.slice('sha256:'.length)), bytes)
  const annotations = { 'org.opencontainers.image.ref.name': tag }
  const named = { ...manifest.content.descriptor, annotations }
  await writeFile(path.join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  await writeFile(path.join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }))
}
