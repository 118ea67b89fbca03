/** What a list says of an image beside its name: its size and platforms, from the manifests that are on this node. */
import { type Digest, parseManifest } from '../../../src/oci/oci.ts'
import type { Store } from '../../../src/store/store.ts'
import { copies, readUpTo } from '../../chunks.ts'
import { readImageConfig } from '../../operations/image-config.ts'
import { readPlatforms } from '../../operations/platforms.ts'

export interface ImageFacts {
  bytes: number
  platforms: string[]
}

const maxKept = 20_000
const maxConfigBytes = 1024 * 1024
/** Of an index: beyond, it is not added up. */
const maxManifests = 64

export class ImageLookups {
  readonly #store: Pick<Store, 'manifests' | 'blobs'>
  /** What a digest stands for never changes; what is not here may come, so only what was found is kept. */
  readonly #kept = new Map<Digest, ImageFacts>()

  constructor(store: Pick<Store, 'manifests' | 'blobs'>) {
    this.#store = store
  }

  /** `undefined` when a manifest of it is not here, or cannot be read. */
  async find(digest: Digest, mediaType: string): Promise<ImageFacts | undefined> {
    const kept = this.#kept.get(digest)
    if (kept !== undefined) return kept
    const bytes = await this.#store.manifests.get(digest)
    const facts = bytes === undefined ? undefined : await this.#read(bytes, mediaType)
    if (facts === undefined) return undefined
    this.#kept.set(digest, facts)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > maxKept && oldest !== undefined) this.#kept.delete(oldest)
    return facts
  }

  async #read(bytes: Uint8Array, mediaType: string): Promise<ImageFacts | undefined> {
    const parsed = parseManifest(bytes, mediaType)
    if (parsed.kind === 'index') return await this.#readIndex(bytes, parsed.manifests)
    const [config, ...layers] = parsed.blobs
    if (config === undefined) return { bytes: bytes.length, platforms: [] }
    const sizes = new Map([config, ...layers].map(({ digest, size }) => [digest, size]))
    return {
      bytes: [...sizes.values()].reduce((sum, size) => sum + size, bytes.length),
      platforms: await this.#platformOf(config.digest, layers.length),
    }
  }

  async #readIndex(
    bytes: Uint8Array,
    manifests: Parameters<typeof readPlatforms>[1],
  ): Promise<ImageFacts | undefined> {
    const described = readPlatforms(bytes, manifests)
    const platforms = described.flatMap(({ platform }) => (platform === undefined ? [] : [platform]))
    const sizes = new Map<Digest, number>()
    for (const { digest, size, mediaType } of described.slice(0, maxManifests)) {
      const inner = await this.#store.manifests.get(digest)
      if (inner === undefined) return undefined
      sizes.set(digest, size)
      for (const blob of parseManifest(inner, mediaType).blobs) sizes.set(blob.digest, blob.size)
    }
    const total = [...sizes.values()].reduce((sum, size) => sum + size, bytes.length)
    // What an attestation says of itself is no platform.
    return { bytes: total, platforms: platforms.filter((platform) => platform !== 'unknown/unknown') }
  }

  async #platformOf(config: Digest, layers: number): Promise<string[]> {
    const found = await this.#store.blobs.open(config)
    if (found === undefined) return []
    await using blob = found
    if (blob.size > maxConfigBytes) return []
    const bytes = await readUpTo(copies(blob.chunks(0, blob.size)), maxConfigBytes)
    const image = bytes === undefined ? undefined : readImageConfig(bytes, layers)
    const parts = [image?.os, image?.architecture, image?.variant].filter((part) => part !== undefined)
    return parts.length === 0 ? [] : [parts.join('/')]
  }
}
