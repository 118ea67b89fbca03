/** What a node is asked to do before its power is cut, and what has to be there afterwards. */
import { type LocalNode, openLocalNode } from '../../node/local-node.ts'
import { readSettings } from '../../node/settings/settings.ts'
import { silentLogger } from '../../src/base/base.ts'
import {
  type Digest,
  digestBytes,
  mediaTypes,
  parseRepository,
  parseTag,
  type Repository,
} from '../../src/oci/oci.ts'
import { createRegistry, type Registry } from '../../src/registry/registry.ts'
import { seededBytes } from '../store/scenery.ts'

export interface Node {
  local: LocalNode
  registry: Registry
  [Symbol.asyncDispose](): Promise<void>
}

export async function openNode(data: string): Promise<Node> {
  await using opened = new AsyncDisposableStack()
  const { settings } = readSettings(['--data', data, '--min-free', '0'], {})
  const local = opened.use(await openLocalNode({ settings, logger: silentLogger, create: true }))
  const registry = opened.use(createRegistry({ store: local.store, names: local.names }))
  const resources = opened.move()
  return { local, registry, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

/** Things that are there or not, each with the values that it may have: absent is `''`. */
export type Facts = Record<string, string>

export interface Task {
  /** What holds once it was acknowledged. */
  facts: Facts
  /** What may be from then on, or not: nobody is told that the room of garbage is free for good. */
  possible?: Facts
  run(node: Node): Promise<void>
}

const seeds = {
  config: 1,
  small: 2,
  middle: 3,
  large: 4,
  moved: 5,
  doomed: 6,
  brought: 7,
  one: 8,
  two: 9,
  three: 10,
  four: 11,
}
export type BlobName = keyof typeof seeds
const sizes: Record<BlobName, number> = {
  config: 2,
  small: 700,
  middle: 40_000,
  large: 150_000,
  moved: 9_000,
  doomed: 12_000,
  brought: 30_000,
  one: 4_096,
  two: 4_096,
  three: 9_000,
  four: 60_000,
}

export const blobBytes = (name: BlobName): Uint8Array<ArrayBuffer> => seededBytes(sizes[name], seeds[name])
export const blobDigest = (name: BlobName): Digest => digestBytes(blobBytes(name))
export const blobNames = Object.keys(seeds) as BlobName[]

export const repositories = ['team/app', 'team/copy', 'other/app'].map((name) => parseRepository(name))
const [app, copy, other] = repositories as [Repository, Repository, Repository]

export const blobFact = (repository: Repository, name: BlobName): string => `${repository} ${name}`

export function manifestOf(layers: BlobName[]): { bytes: Uint8Array; digest: Digest } {
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: 'application/json', digest: blobDigest('config'), size: sizes.config },
      layers: layers.map((name) => {
        return { mediaType: 'application/octet-stream', digest: blobDigest(name), size: sizes[name] }
      }),
    }),
  )
  return { bytes, digest: digestBytes(bytes) }
}

async function* chunksOf(bytes: Uint8Array<ArrayBuffer>): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 16_384) yield bytes.slice(at, at + 16_384)
}

const push = (repository: Repository, name: BlobName): Task => ({
  facts: { [blobFact(repository, name)]: 'here' },
  async run({ registry }) {
    const started = await registry.push.startUpload(repository)
    if ('mounted' in started) throw new Error('nothing was to be mounted')
    const { id } = started.upload
    const [body, digest] = [chunksOf(blobBytes(name)), blobDigest(name)]
    // In one request as containerd, and in two as docker: a small blob is made a file at once either way.
    if (name === 'small' || name === 'moved') await registry.push.putUpload(repository, id, body, digest)
    else {
      await registry.push.appendUpload(repository, id, body)
      await registry.push.finishUpload(repository, id, digest)
    }
  },
})

const mount = (from: Repository, to: Repository, name: BlobName): Task => ({
  facts: { [blobFact(to, name)]: 'here' },
  async run({ registry }) {
    const started = await registry.push.startUpload(to, { mount: { digest: blobDigest(name), from } })
    if (!('mounted' in started)) throw new Error(`${name} was to be mounted`)
  },
})

const tag = (repository: Repository, name: string, layers: BlobName[]): Task => {
  const { bytes, digest } = manifestOf(layers)
  return {
    facts: { [`${repository}:${name}`]: digest, [`${repository}@${digest}`]: 'here' },
    async run({ registry }) {
      const body = { bytes, contentType: mediaTypes.ociManifest }
      await registry.push.putManifest(repository, { tag: parseTag(name) }, body)
    },
  }
}

const untag = (repository: Repository, name: string): Task => ({
  facts: { [`${repository}:${name}`]: '' },
  run: ({ registry }) => registry.deletion.deleteManifest(repository, { tag: parseTag(name) }),
})

const deleteManifest = (repository: Repository, tags: string[], layers: BlobName[]): Task => {
  const { digest } = manifestOf(layers)
  return {
    facts: {
      [`${repository}@${digest}`]: '',
      ...Object.fromEntries(tags.map((name) => [`${repository}:${name}`, ''])),
    },
    run: ({ registry }) => registry.deletion.deleteManifest(repository, { digest }),
  }
}

const deleteBlob = (repository: Repository, name: BlobName): Task => ({
  facts: { [blobFact(repository, name)]: '' },
  run: ({ registry }) => registry.deletion.deleteBlob(repository, blobDigest(name)),
})

const bring = (name: BlobName): Task => ({
  facts: { [name]: 'here' },
  async run({ local }) {
    await local.store.blobs.write(blobDigest(name), chunksOf(blobBytes(name)))
  },
})

const collect = (gone: string[]): Task => ({
  facts: {},
  possible: Object.fromEntries(gone.map((fact) => [fact, ''])),
  async run({ local }) {
    await local.collect({ graceMs: 0 })
  },
})

/** Those of a row run at the same time. */
export const work: Task[][] = [
  [push(app, 'config'), push(app, 'small'), push(app, 'middle')],
  [tag(app, 'v1', ['small', 'middle'])],
  [mount(app, copy, 'config')],
  [mount(app, copy, 'small')],
  [push(app, 'large')],
  [tag(app, 'latest', ['large'])],
  [push(app, 'moved'), tag(copy, 'v1', ['small'])],
  [tag(app, 'latest', ['moved'])],
  [push(other, 'config'), push(other, 'doomed')],
  [tag(other, 'gone', ['doomed'])],
  [mount(other, copy, 'doomed')],
  [deleteBlob(copy, 'doomed')],
  [bring('brought')],
  [deleteManifest(other, ['gone'], ['doomed'])],
  [tag(app, 'more', ['moved'])],
  [untag(app, 'more')],
  [collect([blobFact(other, 'config'), blobFact(other, 'doomed'), 'brought'])],
  [push(other, 'doomed'), push(other, 'config')],
  [tag(other, 'again', ['doomed'])],
  [mount(other, app, 'doomed')],
  // All but the first are made files together.
  [push(app, 'one'), push(app, 'two'), push(other, 'three'), push(copy, 'four')],
]
