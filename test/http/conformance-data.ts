/** What is pushed and pulled for the cases of the distribution-spec's conformance suite: each set with every option of it on. */
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { type Digest, digestBytes, mediaTypes } from '../../src/oci/oci.ts'

export type Algorithm = 'sha256' | 'sha512'

export interface Descriptor {
  mediaType: string
  digest: Digest
  size: number
  artifactType?: string
  annotations?: Record<string, string>
  platform?: object
  urls?: string[]
  data?: string
}

export interface TestManifest {
  readonly digest: Digest
  readonly bytes: Buffer
  readonly mediaType: string
  readonly subject: Digest | undefined
}

export interface TestSet {
  readonly name: string
  readonly blobs: Map<Digest, Buffer>
  /** Children before their indexes. */
  readonly manifests: TestManifest[]
  readonly tags: Map<string, Digest>
  /** By subject. */
  readonly referrers: Map<Digest, Descriptor[]>
  /** Tags go with the push by digest, in its query. */
  readonly hasTagQuery: boolean
}

interface ImageOptions {
  layers?: number
  layerType?: string
  layerBytes?: Buffer
  configType?: string
  config?: Buffer
  artifactType?: string
  annotations?: Record<string, string>
  subject?: Descriptor
  /** Contents stand in the descriptors, too. */
  hasData?: boolean
  /** Keys that no spec knows. */
  extra?: object
}

const layerType = 'application/vnd.oci.image.layer.v1.tar'
const withoutDistribution = 'application/vnd.oci.image.layer.nondistributable.v1.tar'
const configType = 'application/vnd.oci.image.config.v1+json'
const platforms = ['amd64', 'arm64'].map((architecture) => ({ os: 'linux', architecture }))
/** An artifact of one blob, with the empty config. */
const artifact = (kind: string): ImageOptions => ({
  layers: 1,
  layerType: kind,
  configType: mediaTypes.ociEmpty,
  config: Buffer.from('{}'),
  artifactType: kind,
})
const [oneKind, anotherKind] = ['application/vnd.example.one', 'application/vnd.example.two']

class Builder {
  readonly set: TestSet
  readonly #algorithm: Algorithm

  constructor(name: string, { algorithm = 'sha256' as Algorithm, hasTagQuery = false } = {}) {
    this.#algorithm = algorithm
    const collections = { blobs: new Map(), manifests: [], tags: new Map(), referrers: new Map() }
    this.set = { name, ...collections, hasTagQuery }
  }

  blob(bytes: Buffer, mediaType: string, hasData = false): Descriptor {
    const digest = digestBytes(bytes, this.#algorithm)
    this.set.blobs.set(digest, bytes)
    const data = hasData ? { data: bytes.toString('base64') } : {}
    return { mediaType, digest, size: bytes.length, ...data }
  }

  image(options: ImageOptions = {}, tag?: string): Descriptor {
    const { layers: count = 2, hasData = false, extra = {}, artifactType, annotations, subject } = options
    const type = options.layerType ?? `${layerType}+gzip`
    const layers = Array.from({ length: count }, () =>
      this.blob(options.layerBytes ?? gzipSync(randomBytes(100)), type, hasData),
    )
    const platform = { ...platforms[0], author: randomBytes(8).toString('hex'), ...extra }
    const configBytes = options.config ?? Buffer.from(JSON.stringify(platform))
    const config = this.blob(configBytes, options.configType ?? configType, hasData)
    const document = { artifactType, config, layers, subject, annotations, ...extra }
    return this.manifest(mediaTypes.ociManifest, document, tag)
  }

  index(manifests: Descriptor[], options: ImageOptions = {}, tag?: string): Descriptor {
    const { artifactType, subject, annotations, extra = {} } = options
    const listed = manifests.map((each, at) => ({ ...each, platform: platforms[at] }))
    const document = { artifactType, manifests: listed, subject, annotations, ...extra }
    return this.manifest(mediaTypes.ociIndex, document, tag)
  }

  /** An image for each platform, and their index. */
  images(options: ImageOptions = {}, tag?: string): Descriptor {
    const { subject, ...ofImages } = options
    return this.index([this.image(ofImages), this.image(ofImages)], options, tag)
  }

  manifest(
    mediaType: string,
    document: {
      artifactType?: string | undefined
      config?: Descriptor
      subject?: Descriptor | undefined
      annotations?: Record<string, string> | undefined
    },
    tag?: string,
  ): Descriptor {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...document }))
    const digest = digestBytes(bytes, this.#algorithm)
    const { subject, config, annotations } = document
    this.set.manifests.push({ digest, bytes, mediaType, subject: subject?.digest })
    if (tag !== undefined) this.set.tags.set(tag, digest)
    const descriptor = { mediaType, digest, size: bytes.length }
    if (subject !== undefined) {
      const artifactType = document.artifactType ?? config?.mediaType
      const listed = {
        ...descriptor,
        ...(artifactType === undefined ? {} : { artifactType }),
        ...(annotations === undefined ? {} : { annotations }),
      }
      this.set.referrers.set(subject.digest, [...(this.set.referrers.get(subject.digest) ?? []), listed])
    }
    return descriptor
  }
}

function built(name: string, fill: (builder: Builder) => void, options = {}): TestSet {
  const builder = new Builder(name, options)
  fill(builder)
  return builder.set
}

/** Two tags for the index, one for each image, all in the queries of their pushes. */
function withTagQueries(algorithm: Algorithm): TestSet {
  const fill = (to: Builder) => {
    to.images({}, `query-${algorithm}`)
    for (const [at, { digest }] of to.set.manifests.entries())
      to.set.tags.set(`query-${algorithm}-${at}`, digest)
  }
  return built(`tags in the query, ${algorithm}`, fill, { algorithm, hasTagQuery: true })
}

export function makeSets(): TestSet[] {
  const many = Object.fromEntries(Array.from({ length: 390 }, (_, at) => [`note-${at}`, 'A'.repeat(10_000)]))
  const noted = { annotations: { 'com.example.note': 'hello' } }
  const missing: Descriptor = {
    mediaType: mediaTypes.ociManifest,
    digest: digestBytes(randomBytes(8)),
    size: 123,
  }
  const elsewhere = (type: string): Descriptor => {
    const digest = digestBytes(randomBytes(8))
    return { mediaType: type, digest, size: 123_456, urls: [`https://store.example.com/${digest}`] }
  }
  return [
    built('an image', (to) => to.image({}, 'image')),
    built('an uncompressed image', (to) => to.image({ layerType }, 'uncompressed')),
    built('a manifest of nearly 4 MiB', (to) => to.image({ annotations: many }, 'large')),
    built('an index', (to) => to.images({}, 'index')),
    built('an index of indexes', (to) => to.index([to.images(), to.images()], {}, 'nested')),
    built('an empty index', (to) => to.index([], {}, 'empty')),
    built('an artifact', (to) => to.image(artifact(oneKind), 'artifact')),
    built('an index of artifacts', (to) => to.images(artifact(oneKind), 'artifacts')),
    built('an artifact of the empty blob', (to) =>
      to.image(
        { ...artifact(mediaTypes.ociEmpty), layerBytes: Buffer.from('{}'), artifactType: oneKind },
        'bare',
      ),
    ),
    built('artifacts with a subject', (to) => {
      const subject = to.image({}, 'subject')
      to.image({ subject })
      to.image({ ...artifact(oneKind), ...noted, subject }, 'about-1')
      to.image({ ...artifact(anotherKind), ...noted, subject }, 'about-2')
    }),
    built('an index with a subject', (to) => {
      const subject = to.images({}, 'subject')
      to.images({ ...artifact(oneKind), ...noted, subject }, 'about')
    }),
    built('a subject that is missing', (to) =>
      to.image({ ...artifact(oneKind), ...noted, subject: missing }, 'a'),
    ),
    built('contents in the descriptors', (to) => to.image({ hasData: true }, 'data')),
    built('layers that must not be distributed', (to) => {
      const layers = [elsewhere(withoutDistribution), elsewhere(`${withoutDistribution}+gzip`)]
      const own = to.blob(randomBytes(100), layerType)
      const config = to.blob(Buffer.from('{"os":"windows"}'), configType)
      to.manifest(mediaTypes.ociManifest, { config, ...{ layers: [...layers, own] } }, 'not-distributed')
    }),
    built('keys that no spec knows', (to) =>
      to.images({ extra: { 'com.example': { deep: [1, null] } } }, 'keys'),
    ),
    built('an image without layers', (to) => to.image({ layers: 0 }, 'no-layers')),
    built('an image and an index that lack parts', (to) => {
      to.image({}, 'sparse-image')
      const [layer] = [...to.set.blobs.keys()]
      if (layer !== undefined) to.set.blobs.delete(layer)
      to.index([to.image(), missing], {}, 'sparse-index')
    }),
    built('sha512', (to) => to.images(), { algorithm: 'sha512' }),
    withTagQueries('sha256'),
    withTagQueries('sha512'),
  ]
}
