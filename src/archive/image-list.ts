/** Which images an archive holds, read from whichever index it has: that of an OCI image layout, or docker's older one. */
import {
  type Descriptor,
  excerpt,
  maxManifestBytes,
  mediaTypes,
  parseManifest,
  parseRepository,
  parseTag,
  type Repository,
  type Tag,
} from '../oci/oci.ts'
import { readDockerImages } from './docker-save.ts'
import { ArchiveError } from './errors.ts'
import { type ArchiveFiles, blobPath, readBlob, readSmall } from './files.ts'

/** The manifest at an image's top, with the names that the archive gives it. */
export interface ArchivedImage {
  root: Descriptor
  /** Empty for what has no name: a referrer, or an image that nobody tagged. */
  names: ArchivedName[]
}

export interface ArchivedName {
  /** Absent where the archive names a tag alone. */
  repository?: Repository
  tag: Tag
}

export interface ImageList {
  images: ArchivedImage[]
  /** A manifest's bytes, proven. Throws ArchiveError. */
  readManifest(descriptor: Descriptor): Promise<Uint8Array>
  /** Where a blob lies in the archive; `undefined` when it is not there. Throws ArchiveError when it has another size. */
  findBlob(descriptor: Descriptor): Promise<string | undefined>
}

const maxLayoutBytes = 4096

/** Throws ArchiveError when it is no archive of images, or does not make sense. */
export async function readImageList(files: ArchiveFiles): Promise<ImageList> {
  const marker = await readSmall(files, 'oci-layout', maxLayoutBytes)
  if (marker !== undefined) return await readLayout(files, marker)
  const docker = await readDockerImages(files)
  if (docker !== undefined) return docker
  throw new ArchiveError(
    `${files.name} has neither an oci-layout file nor docker's manifest.json, so it is no archive of images; the storage of a docker-registry is read by shoal import docker-registry FOLDER`,
  )
}

/** OCI image-spec, "Image Layout". */
async function readLayout(files: ArchiveFiles, marker: Uint8Array): Promise<ImageList> {
  const version = readObject(marker, 'oci-layout').imageLayoutVersion
  if (version !== '1.0.0')
    throw new ArchiveError(`oci-layout says version "${excerpt(String(version))}"; known is 1.0.0`)
  const bytes = await readSmall(files, 'index.json', maxManifestBytes)
  if (bytes === undefined) throw new ArchiveError(`${files.name} has no index.json`)
  const { manifests } = parseManifest(bytes, mediaTypes.ociIndex)
  const items = readObject(bytes, 'index.json').manifests
  const images = manifests.map(({ digest, mediaType, size }, at) => {
    const item: unknown = Array.isArray(items) ? items[at] : undefined
    return {
      root: { digest, mediaType, size },
      names: namesIn(isObject(item) ? item.annotations : undefined),
    }
  })
  return {
    images: merged(images),
    readManifest: (descriptor) => readBlob(files, descriptor, { maxBytes: maxManifestBytes }),
    async findBlob(descriptor) {
      const path = blobPath(descriptor)
      const found = await files.find(path)
      if (found !== undefined && found.size !== descriptor.size)
        throw new ArchiveError(`${path} has ${found.size} bytes, a manifest says ${descriptor.size}`)
      return found === undefined ? undefined : path
    },
  }
}

/** One image for each digest: docker lists it once for each of its names. */
function merged(images: ArchivedImage[]): ArchivedImage[] {
  const byDigest = new Map<string, ArchivedImage>()
  for (const image of images) {
    const known = byDigest.get(image.root.digest)
    if (known === undefined) byDigest.set(image.root.digest, image)
    else known.names.push(...image.names)
  }
  return [...byDigest.values()]
}

/** Annotations of an index's entry: its whole name, and the one that its readers ask for. */
export const fullName = 'io.containerd.image.name'
export const refName = 'org.opencontainers.image.ref.name'

function namesIn(annotations: unknown): ArchivedName[] {
  if (!isObject(annotations)) return []
  const full = annotations[fullName]
  if (typeof full === 'string') return [parseArchivedName(full)]
  const ref = annotations[refName]
  if (typeof ref !== 'string') return []
  return [ref.includes('/') || ref.includes(':') ? parseArchivedName(ref) : { tag: parseTag(ref) }]
}

const hostWithPort = /^(?:[^/:@]+|\[[0-9a-fA-F:.]+\]):\d+\//

/**
 * A name as docker and containerd write it: the registry of a node in front is left out, and so is Docker Hub's, which
 * docker leaves out as well. Throws OciError.
 */
export function parseArchivedName(text: string): Required<ArchivedName> {
  const local = text.replace(hostWithPort, '')
  const name = local === text ? text.replace(/^(?:docker\.io\/)?(?:library\/)?/, '') : local
  const colon = name.lastIndexOf(':')
  const [repository, tag] = colon < 0 ? [name, 'latest'] : [name.slice(0, colon), name.slice(colon + 1)]
  return { repository: parseRepository(repository), tag: parseTag(tag) }
}

/** The annotations that give an image its name, for every reader of image layouts that there is. */
export function nameAnnotations(repository: Repository, tag: Tag, ref: string): Record<string, string> {
  return { [fullName]: `localhost:5000/${repository}:${tag}`, [refName]: ref }
}

function readObject(bytes: Uint8Array, name: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    if (isObject(value)) return value
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new ArchiveError(`${name} is not JSON: ${cause.message}`, { cause })
  }
  throw new ArchiveError(`${name} is not a JSON object`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
