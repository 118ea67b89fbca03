/** Nodes whose registries, ledgers and stores are real, and whose steps a test puts in the order that it wants. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { importManifest, importTag } from '../../node/operations/archive.ts'
import type { OperationContext } from '../../node/operations/operations.ts'
import { removeImage } from '../../node/operations/remove.ts'
import { tagImage } from '../../node/operations/tag.ts'
import {
  type Digest,
  digestBytes,
  mediaTypes,
  OciError,
  parseRepository,
  parseTag,
  type Repository,
  type Tag,
} from '../../src/oci/oci.ts'
import { type Ledger, openLedger } from '../../src/records/records.ts'
import { createRegistry, type Elsewhere, nowhere, type Registry } from '../../src/registry/registry.ts'
import { type CollectReport, openDatabase, openStore, type Store } from '../../src/store/store.ts'
import { identityFromSeed } from '../../src/wire/wire.ts'
import type { Write } from '../model/model.ts'
import { ManualClock } from '../records/fixture.ts'

export interface SceneImage {
  digest: Digest
  bytes: Uint8Array
  config: Digest
  layer: Digest
}

type What = Omit<Write, 'node' | 'beginMs' | 'endMs' | 'outcome'> & object

/** What an act resolves to that may have found all as it wants it, and then states nothing. */
export const unstated = Symbol('unstated')

/** Something that is asked of a node, and what it is for the model. */
export interface Act {
  name: string
  node: number
  run(node: SceneNode): Promise<unknown>
  writes(node: SceneNode): What[]
}

const config = Buffer.from('{}')
const layer = Buffer.from('a layer')
const signal = new AbortController().signal

/** Where a node's steps wait: for an action that a test puts before one, and for their turn. */
class Gates {
  readonly #before = new Map<string, () => Promise<unknown>>()
  scheduler: fc.Scheduler | undefined

  before(step: string, action: () => Promise<unknown>): void {
    this.#before.set(step, action)
  }

  async pass(step: string): Promise<void> {
    const action = this.#before.get(step)
    this.#before.delete(step)
    await action?.()
    await this.scheduler?.schedule(Promise.resolve(), step)
  }

  /** `target`, whose `methods` wait at their gates first. */
  around<T extends object>(name: string, target: T, methods: (keyof T & string)[]): T {
    return new Proxy(target, {
      get: (_, key) => {
        const value: unknown = Reflect.get(target, key)
        if (typeof value !== 'function') return value
        const method = (...args: unknown[]): unknown => Reflect.apply(value, target, args)
        if (!methods.includes(key as keyof T & string)) return method
        return async (...args: unknown[]) => {
          await this.pass(`${name}.${String(key)}`)
          return await method(...args)
        }
      },
    })
  }
}

export class SceneNode {
  readonly store: Store
  readonly names: Ledger
  readonly registry: Registry
  readonly gates: Gates
  readonly withdrawn: Digest[] = []
  readonly other: Repository = parseRepository('other/app')
  repository: Repository = parseRepository('team/app')
  /** Gives the other nodes its records. */
  tell: () => Promise<unknown> = async () => undefined

  constructor(store: Store, names: Ledger, gates: Gates, elsewhere: Elsewhere) {
    const gatedStore = gates.around('store', store, [])
    const parts = {
      blobs: gates.around('blobs', store.blobs, ['stat']),
      links: gates.around('links', store.links, ['has', 'add', 'remove']),
      manifests: gates.around('manifests', store.manifests, ['put', 'get', 'remove']),
    }
    this.store = new Proxy(gatedStore, {
      get: (target, key) => Reflect.get(parts, key) ?? Reflect.get(target, key),
    })
    this.names = gates.around('names', names, ['publish', 'findTag', 'findManifest', 'tagsOf'])
    this.gates = gates
    this.registry = createRegistry({
      store: this.store,
      names: this.names,
      elsewhere: { ...elsewhere, withdraw: (digests) => void this.withdrawn.push(...digests) },
    })
  }

  /** Runs `action` when the node is about to take that step next. */
  before(step: string, action: () => Promise<unknown>): void {
    this.gates.before(step, action)
  }

  /** Of the same blobs, whatever the version. */
  image(version = 'first'): SceneImage {
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: digestBytes(config),
        size: config.length,
      },
      layers: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          digest: digestBytes(layer),
          size: layer.length,
        },
      ],
      annotations: { repository: this.repository, version },
    }
    const bytes = Buffer.from(JSON.stringify(manifest))
    return { digest: digestBytes(bytes), bytes, config: digestBytes(config), layer: digestBytes(layer) }
  }

  async pushBlobs(version?: string): Promise<SceneImage> {
    for (const bytes of [config, layer]) {
      const digest = digestBytes(bytes)
      if ((await this.store.blobs.stat(digest)) === undefined)
        await this.store.blobs.write(
          digest,
          (async function* () {
            yield Uint8Array.from(bytes)
          })(),
        )
      await this.store.links.add(this.repository, [digest])
    }
    return this.image(version)
  }

  async push(image: SceneImage, tags: Tag[]): Promise<void> {
    await this.pushTo(this.repository, image, tags)
  }

  async pushTo(repository: Repository, { bytes, digest }: SceneImage, tags: Tag[]): Promise<void> {
    const body = { bytes, contentType: mediaTypes.ociManifest, tags }
    await this.registry.push.putManifest(repository, { digest }, body)
  }

  async mountLayer(image: SceneImage): Promise<boolean> {
    return 'mounted' in (await this.#mount(image.layer))
  }

  async mountAll(image: SceneImage): Promise<void> {
    for (const digest of [image.config, image.layer]) await this.#mount(digest)
  }

  async hasMounted(image: SceneImage): Promise<boolean> {
    return await this.#holds(this.other, image.layer)
  }

  async hasLayer(image: SceneImage): Promise<boolean> {
    return await this.#holds(this.repository, image.layer)
  }

  async getTag(tag: Tag): Promise<Digest | undefined> {
    return await this.#get({ tag })
  }

  async hasManifest(digest: Digest): Promise<boolean> {
    return (await this.#get({ digest })) !== undefined
  }

  async listTags(): Promise<Tag[]> {
    return await this.names.listTags(this.repository, { limit: 100 })
  }

  /** With a grace of nothing. `looked` is told after each look at the records, before the collector acts on it. */
  async collect(looked?: (digest: Digest) => Promise<void>): Promise<CollectReport> {
    return await this.store.collect({
      graceMs: 0,
      isLive: async (repository, digest) => {
        const entry = await this.names.findManifest(repository, digest)
        await looked?.(digest)
        return entry !== undefined
      },
    })
  }

  context(): OperationContext {
    const node = { store: this.store, names: this.names, settings: { 'no-delete': false } }
    return { node, registry: this.registry } as unknown as OperationContext
  }

  /** As `shoal rm` does. */
  async remove(image: string): Promise<void> {
    const params = { image, whole: false, dryRun: false, asAuthority: false }
    await removeImage(this.context(), params, () => undefined, { signal })
  }

  async #mount(digest: Digest) {
    return await this.registry.push.startUpload(this.other, { mount: { digest, from: this.repository } })
  }

  async #holds(repository: Repository, digest: Digest): Promise<boolean> {
    return (
      (await this.store.links.has(repository, digest)) && (await this.store.blobs.stat(digest)) !== undefined
    )
  }

  async #get(reference: { tag: Tag } | { digest: Digest }): Promise<Digest | undefined> {
    try {
      const { bytes } = await this.registry.pull.getManifest(this.repository, reference)
      return digestBytes(bytes)
    } catch (error) {
      if (error instanceof OciError && error.code === 'MANIFEST_UNKNOWN') return undefined
      throw error
    }
  }
}

export class Scene implements AsyncDisposable {
  readonly clock = new ManualClock()
  readonly #nodes: SceneNode[] = []
  readonly #opened = new AsyncDisposableStack()
  #runs = 0

  at(number: number): SceneNode {
    const node = this.#nodes[number]
    if (node === undefined) throw new RangeError(`there is no node ${number}`)
    return node
  }

  async open(): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'shoal-races-'))
    this.#opened.defer(() => rm(directory, { recursive: true }))
    const database = this.#opened.adopt(await openDatabase(directory), (db) => db.close())
    const seed = this.#nodes.length + 1
    const identity = identityFromSeed(new Uint8Array(32).fill(seed))
    const authority = identityFromSeed(new Uint8Array(32).fill(99)).publicKey
    const names = this.#opened.use(await openLedger({ db: database, identity, authority, clock: this.clock }))
    const store = this.#opened.use(
      await openStore({ directory, database, minFreeBytes: 0, workers: 1, clock: this.clock }),
    )
    const elsewhere = { ...nowhere, fetchManifest: (_: Repository, digest: Digest) => this.#find(digest) }
    const node = new SceneNode(store, names, new Gates(), elsewhere)
    node.tell = () => Promise.all(this.#nodes.map((to) => (to === node ? undefined : tell(node, to))))
    this.#nodes.push(node)
    this.#opened.use(node.registry)
  }

  /** A moment of the observer, and of every node's clock. */
  step(): number {
    return ++this.clock.ms
  }

  /** Every node tells every other one all that it knows of the repository. */
  async heal(): Promise<void> {
    for (let round = 0; round < 2; round++) for (const node of this.#nodes) await node.tell()
  }

  /** Names that no earlier run has used. */
  begin(): void {
    const repository = parseRepository(`run/${++this.#runs}`)
    for (const node of this.#nodes) node.repository = repository
  }

  /** From now on every step waits for its turn. */
  meet(scheduler: fc.Scheduler | undefined): void {
    for (const { gates } of this.#nodes) gates.scheduler = scheduler
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync()
  }

  async #find(digest: Digest): Promise<Uint8Array | undefined> {
    for (const { store } of this.#nodes) {
      const bytes = await store.manifests.get(digest)
      if (bytes !== undefined) return bytes
    }
    return undefined
  }
}

export async function openScene(nodes: number): Promise<Scene> {
  const scene = new Scene()
  for (let number = 0; number < nodes; number++) await scene.open()
  return scene
}

async function tell(from: SceneNode, to: SceneNode): Promise<void> {
  const { repository } = from
  const tags = ['one', 'two'].map((tag) => ({ kind: 'tag' as const, repository, tag: parseTag(tag) }))
  const manifests = versions.map((version) => {
    return { kind: 'manifest' as const, repository, digest: from.image(version).digest }
  })
  const keys = [...tags, ...manifests]
  const records = keys.map((key) => from.names.findRecord(key)).filter((record) => record !== undefined)
  await to.names.apply(records)
}

const tag = fc.constantFrom(parseTag('one'), parseTag('two'))

/** What a tag may name. */
export const versions = ['first', 'second']

/** An import that is run again leaves what stands to who stated it, and when. */
export async function importAs(at: SceneNode, tag: Tag): Promise<typeof unstated | undefined> {
  const { digest, bytes } = await at.pushBlobs()
  const { repository } = at
  const named = { repository, digest, mediaType: mediaTypes.ociManifest }
  const manifest = { ...named, absent: [], bytes: Buffer.from(bytes).toString('base64') }
  await importManifest(at.context(), manifest, () => undefined, { signal })
  const stood = (await at.names.findTag(repository, tag))?.digest === digest
  const done = { ...named, tag, size: bytes.length }
  const { stands } = await importTag(at.context(), done, () => undefined, { signal })
  if (stands !== 'imported') throw new OciError('MANIFEST_UNKNOWN', `what stands is ${stands}`)
  return stood ? unstated : undefined
}

/** All that can be asked about one image, at one of so many nodes. */
export function acts(nodes: number): fc.Arbitrary<Act> {
  const node = fc.nat({ max: nodes - 1 })
  const version = fc.constantFrom(...versions)
  const pushed = (at: SceneNode, tags: Tag[], version?: string): What => {
    const { digest, config: first, layer: second } = at.image(version)
    return {
      kind: 'push',
      repository: at.repository,
      digest,
      tags,
      blobs: [first, second],
      manifests: [],
    } as What
  }
  const push = fc.record({ node, version, tags: fc.subarray([parseTag('one'), parseTag('two')]) }).map(
    ({ node, version, tags }): Act => ({
      name: `push ${version} ${tags.join(' ')}`,
      node,
      run: async (at) => at.push(await at.pushBlobs(version), tags),
      writes: (at) => [pushed(at, tags, version)],
    }),
  )
  const retag = fc.record({ node, tag }).map(
    ({ node, tag }): Act => ({
      name: `tag ${tag}`,
      node,
      run: async (at) => {
        const source = `${at.repository}@${at.image().digest}`
        const params = { source, target: `${at.repository}:${tag}`, asAuthority: false }
        return await tagImage(at.context(), params, () => undefined, { signal })
      },
      writes: (at) => [pushed(at, [tag])],
    }),
  )
  const imported = fc.record({ node, tag }).map(
    ({ node, tag }): Act => ({
      name: `import ${tag}`,
      node,
      run: (at) => importAs(at, tag),
      writes: (at) => [pushed(at, [tag])],
    }),
  )
  const deleteTag = fc.record({ node, tag }).map(
    ({ node, tag }): Act => ({
      name: `delete ${tag}`,
      node,
      run: (at) => at.registry.deletion.deleteManifest(at.repository, { tag }),
      writes: (at) => [{ kind: 'delete-tag', repository: at.repository, tag } as What],
    }),
  )
  const deleteManifest = fc.record({ node, version }).map(
    ({ node, version }): Act => ({
      name: `delete the manifest ${version}`,
      node,
      run: (at) => at.registry.deletion.deleteManifest(at.repository, { digest: at.image(version).digest }),
      writes: (at) => [
        { kind: 'delete-manifest', repository: at.repository, digest: at.image(version).digest } as What,
      ],
    }),
  )
  const quiet = fc
    .record({ node, what: fc.constantFrom('collect', 'verify', 'pull', 'mount', 'tell') })
    .map(({ node, what }): Act => {
      const run = async (at: SceneNode): Promise<unknown> => {
        if (what === 'collect') return await at.collect()
        if (what === 'tell') return await at.tell()
        if (what === 'verify') return await at.store.verify()
        if (what === 'pull') return await at.hasManifest(at.image().digest)
        return await at.mountLayer(at.image())
      }
      return { name: what, node, run, writes: () => [] }
    })
  return fc
    .oneof(push, push, retag, imported, deleteTag, deleteManifest, deleteManifest, quiet)
    .map((act) => ({ ...act, [fc.toStringMethod]: () => `${act.name} at ${act.node}` }))
}
