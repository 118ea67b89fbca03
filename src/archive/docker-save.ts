/**
 * What `docker save` made before it made image layouts (and what podman still makes): a manifest.json that names configs and
 * layers. An image's manifest is not in there, so one is made, always the same from the same archive.
 */
import {
  type Descriptor,
  type Digest,
  digestBytes,
  excerpt,
  isDigest,
  type Json,
  type JsonObject,
  maxManifestBytes,
  mediaTypes,
  parseJson,
} from '../oci/oci.ts'
import { ArchiveError } from './errors.ts'
import { type ArchiveFiles, readSmall } from './files.ts'
import { type ImageList, parseArchivedName } from './image-list.ts'

const configType = 'application/vnd.oci.image.config.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar'
const maxImages = 1_000
const maxLayers = 4_000

/** `undefined` when it is no such archive. Throws ArchiveError when it does not make sense. */
export async function readDockerImages(files: ArchiveFiles): Promise<ImageList | undefined> {
  const bytes = await readSmall(files, 'manifest.json', maxManifestBytes)
  if (bytes === undefined) return undefined
  const entries = parseJson(bytes)
  if (!Array.isArray(entries) || entries.length > maxImages)
    throw new ArchiveError(`manifest.json is not a list of up to ${maxImages} images`)
  const manifests = new Map<Digest, Uint8Array>()
  const paths = new Map<Digest, { path: string; size: number }>()
  const images = []
  for (const entry of entries) {
    const { config, layers, names } = readEntry(entry)
    const manifest = await makeManifest(files, config, layers, paths)
    const digest = digestBytes(manifest)
    manifests.set(digest, manifest)
    const root = { digest, mediaType: mediaTypes.ociManifest, size: manifest.length }
    images.push({ root, names: names.map(parseArchivedName) })
  }
  return {
    images,
    async readManifest({ digest }) {
      const manifest = manifests.get(digest)
      if (manifest !== undefined) return manifest
      throw new ArchiveError(`${files.name} holds no manifest ${digest}`)
    },
    async findBlob({ digest }) {
      return paths.get(digest)?.path
    },
  }
}

interface Entry {
  config: string
  layers: string[]
  names: string[]
}

function readEntry(value: Json): Entry {
  if (!isObject(value)) throw new ArchiveError('an entry of manifest.json is not an object')
  const { Config: config, Layers: layers, RepoTags: names = [] } = value
  if (typeof config !== 'string' || !isTexts(layers) || !(names === null || isTexts(names)))
    throw new ArchiveError(
      'an entry of manifest.json lacks its Config, Layers or RepoTags, or they are no texts',
    )
  if (layers.length > maxLayers) throw new ArchiveError(`an image of the archive has ${layers.length} layers`)
  return { config, layers, names: names ?? [] }
}

/** A config says what its layers hash to, so they need not be read for that; the store proves them when they come. */
async function makeManifest(
  files: ArchiveFiles,
  config: string,
  layers: string[],
  paths: Map<Digest, { path: string; size: number }>,
): Promise<Uint8Array> {
  const bytes = await readSmall(files, config, maxManifestBytes)
  if (bytes === undefined)
    throw new ArchiveError(`manifest.json names the config ${excerpt(config)}, which is not there`)
  const diffIds = readDiffIds(bytes, config)
  if (diffIds.length !== layers.length)
    throw new ArchiveError(`${excerpt(config)} says ${diffIds.length} layers, manifest.json ${layers.length}`)
  const described: Descriptor[] = []
  for (const [at, path] of layers.entries()) {
    const found = await files.find(path)
    const digest = diffIds[at]
    if (found === undefined || digest === undefined)
      throw new ArchiveError(`manifest.json names the layer ${excerpt(path)}, which is not there`)
    described.push({ mediaType: layerType, digest, size: found.size })
    paths.set(digest, { path, size: found.size })
  }
  const digest = digestBytes(bytes)
  paths.set(digest, { path: config, size: bytes.length })
  const content = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: configType, digest, size: bytes.length },
    layers: described,
  }
  return Buffer.from(JSON.stringify(content))
}

function readDiffIds(bytes: Uint8Array, name: string): Digest[] {
  const config = parseJson(bytes)
  const rootfs = isObject(config) ? config.rootfs : undefined
  const ids = isObject(rootfs) ? rootfs.diff_ids : undefined
  if (isTexts(ids) && ids.every(isDigest)) return ids
  throw new ArchiveError(`${excerpt(name)} does not say what its layers hash to`)
}

function isTexts(value: Json | undefined): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
