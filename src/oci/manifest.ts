/** What a registry needs to know of a manifest: its type, what it refers to, and its subject (OCI image-spec 1.1). */
import { type Digest, excerpt, isDigest } from './digest.ts'
import { OciError } from './errors.ts'
import { type Json, type JsonObject, parseJson } from './json.ts'
import { isNonDistributable, type MediaType, mediaTypes, parseMediaType } from './media-type.ts'
import { type Platform, readPlatform } from './platform.ts'

/** The spec's floor for what a registry must accept; a larger one is refused with 413. */
export const maxManifestBytes = 4 * 1024 * 1024

/** More than any image has; it bounds the work that one PUT can cause. */
const maxDescriptors = 4096

/** Annotations of a referrer are copied into its signed record, so they are bounded with it. */
const maxAnnotationBytes = 32 * 1024

/** So much of what a manifest refers to may be missing where it is pushed. */
export const maxAbsent = 256

export interface Descriptor {
  mediaType: string
  digest: Digest
  size: number
}

/** A manifest of an index. */
export interface ChildDescriptor extends Descriptor {
  platform?: Platform
  /** The sibling that it says something about, as the attestations of BuildKit do. */
  describes?: Digest
}

export interface ParsedManifest {
  mediaType: MediaType
  /** `image` has a config and layers, `index` has manifests, `opaque` is stored without being understood. */
  kind: 'image' | 'index' | 'opaque'
  /** Config and layers of an image. */
  blobs: Descriptor[]
  /** The manifests of an index. */
  manifests: ChildDescriptor[]
  subject?: Digest
  artifactType?: string
  annotations?: Record<string, string>
}

/**
 * Reads a manifest that came with a Content-Type. The bytes are never changed; what the document says of itself has to
 * agree with the header (CVE-2021-41190). Throws `MANIFEST_INVALID` or `UNSUPPORTED`.
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): ParsedManifest {
  const header = contentType === undefined ? undefined : parseMediaType(stripParameters(contentType))
  if (header === mediaTypes.dockerSchema1 || header === mediaTypes.dockerSchema1Signed) throw schema1()
  if (header !== undefined && !header.endsWith('json'))
    return { mediaType: header, kind: 'opaque', blobs: [], manifests: [] }

  const document = expectObject(parseJson(bytes), 'the manifest')
  if (document.schemaVersion === 1) throw schema1()
  const own =
    document.mediaType === undefined
      ? undefined
      : parseMediaType(expectString(document.mediaType, 'mediaType'))
  if (own !== undefined && header !== undefined && own !== header) {
    invalid(
      `Content-Type is ${header}, but the manifest says its mediaType is ${own}; they have to be the same`,
    )
  }
  const mediaType = header ?? own
  if (mediaType === undefined)
    return invalid('neither a Content-Type nor a mediaType in the manifest says what it is')
  if (document.manifests !== undefined && (document.layers !== undefined || document.config !== undefined)) {
    invalid(
      'it has both manifests and layers or config, so that two readers may take it for different things',
    )
  }
  return { mediaType, ...readContent(mediaType, document), ...readReferrer(document) }
}

function readContent(
  mediaType: MediaType,
  document: JsonObject,
): Pick<ParsedManifest, 'kind' | 'blobs' | 'manifests'> {
  const isImage = mediaType === mediaTypes.ociManifest || mediaType === mediaTypes.dockerManifest
  const isIndex = mediaType === mediaTypes.ociIndex || mediaType === mediaTypes.dockerList
  if ((isImage || isIndex) && document.schemaVersion !== 2) invalid('schemaVersion is not 2')
  if (isImage) {
    if (document.manifests !== undefined) invalid(`a ${mediaType} cannot have manifests`)
    const config = readDescriptor(document.config, 'config')
    return { kind: 'image', blobs: [config, ...readDescriptors(document.layers, 'layers')], manifests: [] }
  }
  if (isIndex) {
    if (document.layers !== undefined || document.config !== undefined)
      invalid(`a ${mediaType} cannot have layers or config`)
    return { kind: 'index', blobs: [], manifests: readChildren(document.manifests) }
  }
  return { kind: 'opaque', blobs: [], manifests: [] }
}

function readReferrer(
  document: JsonObject,
): Pick<ParsedManifest, 'subject' | 'artifactType' | 'annotations'> {
  if (document.subject === undefined) return {}
  const subject = readDescriptor(document.subject, 'subject').digest
  const annotations = readAnnotations(document.annotations)
  const config = isObject(document.config) ? document.config.mediaType : undefined
  const artifactType =
    document.artifactType === undefined || document.artifactType === '' ? config : document.artifactType
  return {
    subject,
    ...(artifactType === undefined
      ? {}
      : { artifactType: parseMediaType(expectString(artifactType, 'artifactType')) }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}

function readAnnotations(value: Json | undefined): Record<string, string> | undefined {
  if (value === undefined) return undefined
  const entries = Object.entries(expectObject(value, 'annotations')).map(([key, text]): [string, string] => [
    key,
    expectString(text, `annotation ${excerpt(key)}`),
  ])
  const bytes = entries.reduce(
    (sum, [key, text]) => sum + Buffer.byteLength(key) + Buffer.byteLength(text),
    0,
  )
  if (bytes > maxAnnotationBytes) {
    invalid(
      `annotations of a manifest with a subject hold ${bytes} bytes; at most ${maxAnnotationBytes} fit the list of referrers`,
    )
  }
  return Object.fromEntries(entries)
}

function readChildren(value: Json | undefined): ChildDescriptor[] {
  const items = Array.isArray(value) ? value : []
  return readDescriptors(value, 'manifests').map((descriptor, index) => {
    const item = items[index]
    const { platform: given, annotations } = isObject(item) ? item : {}
    const platform = readPlatform(given)
    const subject = isObject(annotations) ? annotations['vnd.docker.reference.digest'] : undefined
    return {
      ...descriptor,
      ...(platform === undefined ? {} : { platform }),
      ...(typeof subject === 'string' && isDigest(subject) ? { describes: subject } : {}),
    }
  })
}

function readDescriptors(value: Json | undefined, name: string): Descriptor[] {
  if (!Array.isArray(value)) return invalid(`${name} is not a list`)
  if (value.length > maxDescriptors)
    invalid(`${name} has ${value.length} entries; at most ${maxDescriptors} are accepted`)
  return value.map((item, index) => readDescriptor(item, `${name}[${index}]`))
}

function readDescriptor(value: Json | undefined, name: string): Descriptor {
  const { mediaType, digest, size } = expectObject(value, name)
  if (typeof digest !== 'string' || !isDigest(digest)) {
    return invalid(`${name}.digest ${shown(digest)} is not a sha256 or sha512 digest`)
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    return invalid(`${name}.size ${shown(size)} is not a number of bytes`)
  }
  return { mediaType: parseMediaType(expectString(mediaType, `${name}.mediaType`)), digest, size }
}

/** True for what may be missing here when the manifest is pushed. */
export function mayBeMissing(descriptor: Descriptor): boolean {
  return isNonDistributable(descriptor.mediaType)
}

function stripParameters(contentType: string): string {
  return contentType.split(';', 1)[0]?.trim() ?? ''
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function expectObject(value: Json | undefined, name: string): JsonObject {
  return isObject(value) ? value : invalid(`${name} is not a JSON object`)
}

function expectString(value: Json | undefined, name: string): string {
  return typeof value === 'string' ? value : invalid(`${name} ${shown(value)} is not a string`)
}

function shown(value: Json | undefined): string {
  return value === undefined ? '(missing)' : excerpt(JSON.stringify(value))
}

function schema1(): OciError {
  return new OciError(
    'UNSUPPORTED',
    'Docker image manifest schema 1 is not accepted; push with a client that makes schema 2 or OCI manifests (Docker 1.10 or later)',
  )
}

function invalid(reason: string): never {
  throw new OciError('MANIFEST_INVALID', reason)
}

/** What a manifest's record says of it. */
export function manifestFacts(manifest: ParsedManifest, size: number, absent: readonly Digest[] = []) {
  const { mediaType, subject, artifactType, annotations } = manifest
  return {
    mediaType,
    size,
    ...(subject === undefined ? {} : { subject }),
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(absent.length === 0 ? {} : { absent: [...absent] }),
  }
}
