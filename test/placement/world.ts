/** Images made of invented bytes, what of them is on a shelf, and a supply that can be cut off. */

import {
  type Descriptor,
  type Digest,
  digestBytes,
  mediaTypes,
  parseRepository,
  type Repository,
  type Tag,
} from '../../src/oci/oci.ts'
import type { Library, Supply } from '../../src/placement/placement.ts'

export const repository = parseRepository('apps/web')

export interface Made extends Descriptor {
  bytes: Buffer
  /** What it refers to. */
  children: Made[]
  subject?: Digest
}

export function makeBlob(text: string, mediaType = 'application/vnd.oci.image.layer.v1.tar'): Made {
  const bytes = Buffer.from(text)
  return { mediaType, digest: digestBytes(bytes), size: bytes.length, bytes, children: [] }
}

export function makeImage(
  layers: Made[],
  { subject, seed = '' }: { subject?: Made; seed?: string } = {},
): Made {
  const config = makeBlob(`{"seed":"${seed}"}`, 'application/vnd.oci.image.config.v1+json')
  return makeManifest(mediaTypes.ociManifest, [config, ...layers], {
    config: descriptorOf(config),
    layers: layers.map(descriptorOf),
    ...(subject === undefined ? {} : { subject: descriptorOf(subject) }),
  })
}

export type Child = Made & { platform?: Record<string, string>; annotations?: Record<string, string> }

export function makeIndex(children: Child[], { subject }: { subject?: Made } = {}): Made {
  const manifests = children.map((child) => ({
    ...descriptorOf(child),
    ...(child.platform === undefined ? {} : { platform: child.platform }),
    ...(child.annotations === undefined ? {} : { annotations: child.annotations }),
  }))
  const rest = subject === undefined ? {} : { subject: descriptorOf(subject) }
  return makeManifest(mediaTypes.ociIndex, children, { manifests, ...rest })
}

function makeManifest(
  mediaType: string,
  children: Made[],
  content: { subject?: Descriptor; [key: string]: unknown },
): Made {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...content }))
  const { subject } = content
  const made = { mediaType, digest: digestBytes(bytes), size: bytes.length, bytes, children }
  return subject === undefined ? made : { ...made, subject: subject.digest }
}

export function descriptorOf({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

/** Everything that these refer to, themselves included. */
export function closureOf(...roots: Made[]): Made[] {
  const found = new Map<Digest, Made>()
  const visit = (made: Made): void => {
    if (found.has(made.digest)) return
    found.set(made.digest, made)
    made.children.forEach(visit)
  }
  roots.forEach(visit)
  return [...found.values()]
}

/** A node's shelf, and the rest of the cluster, which holds everything that was made. */
export class World implements Library, Supply {
  readonly #made = new Map<Digest, Made>()
  readonly held = new Set<Digest>()
  readonly asked: Digest[] = []
  /** Digests that no member gives. */
  readonly lost = new Set<Digest>()
  /** Digests that are given without an end. */
  readonly dripping = new Set<Digest>()
  isCut = false

  add(...roots: Made[]): this {
    for (const made of closureOf(...roots)) this.#made.set(made.digest, made)
    return this
  }

  hold(...made: Made[]): this {
    for (const { digest } of made) this.held.add(digest)
    return this
  }

  async findManifest(_repository: Repository, digest: Digest): Promise<Uint8Array | undefined> {
    return this.held.has(digest) ? this.#made.get(digest)?.bytes : undefined
  }

  async hasBlob(_repository: Repository, digest: Digest): Promise<boolean> {
    return this.held.has(digest)
  }

  /** By manifest, what was missing of it when it was pushed. */
  readonly absent = new Map<Digest, Digest[]>()

  async absentOf(_repository: Repository, digest: Digest): Promise<readonly Digest[]> {
    return this.absent.get(digest) ?? []
  }

  async listReferrers(_repository: Repository, subject: Digest, page: { after?: Digest; limit: number }) {
    const { after = '', limit } = page
    return [...this.#made.values()]
      .filter((made) => made.subject === subject && made.digest > after && !this.unheard.has(subject))
      .sort((a, b) => (a.digest < b.digest ? -1 : 1))
      .slice(0, limit)
      .map(descriptorOf)
  }

  readonly siblings = new Map<Digest, { tag: Tag; made: Made }[]>()
  /** Of which nothing is known here before their upstream is asked. */
  readonly unheardSiblings = new Set<Digest>()

  async listSiblings(_repository: Repository, digest: Digest): Promise<(Descriptor & { tag: Tag })[]> {
    if (this.unheardSiblings.has(digest)) return []
    return (this.siblings.get(digest) ?? []).map(({ tag, made }) => ({ ...descriptorOf(made), tag }))
  }

  async refreshSiblings(_repository: Repository, digest: Digest): Promise<void> {
    this.unheardSiblings.delete(digest)
  }

  readonly refreshed: string[] = []
  /** What a mirrored tag's upstream says when it is asked. */
  onRefresh: () => Promise<void> = async () => undefined

  async refreshTag(name: Repository, tag: Tag): Promise<void> {
    this.refreshed.push(`${name}:${tag}`)
    await this.onRefresh()
  }

  /** Manifests whose referrers are not known here before somebody asks about them. */
  readonly unheard = new Set<Digest>()

  async refreshReferrers(_repository: Repository, subject: Digest): Promise<void> {
    this.unheard.delete(subject)
  }

  async bringManifest(_repository: Repository, digest: Digest): Promise<Uint8Array | undefined> {
    return this.#bring(digest)?.bytes
  }

  async bringBlob(
    _repository: Repository,
    digest: Digest,
    options?: { signal: AbortSignal },
  ): Promise<boolean> {
    options?.signal.throwIfAborted()
    if (this.dripping.has(digest))
      await new Promise((_resolve, reject) => {
        options?.signal.addEventListener('abort', () => reject(options.signal.reason))
      })
    return this.#bring(digest) !== undefined
  }

  #bring(digest: Digest): Made | undefined {
    this.asked.push(digest)
    const made = this.isCut || this.lost.has(digest) ? undefined : this.#made.get(digest)
    if (made !== undefined) this.held.add(digest)
    return made
  }
}
