import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type Digest,
  digestBytes,
  mediaTypes,
  OciError,
  parseRepository,
  parseTag,
} from '../../src/oci/oci.ts'
import { type Ledger, openLedger } from '../../src/records/records.ts'
import {
  createRegistry,
  type Elsewhere,
  nowhere,
  type Registry,
  type Sparse,
} from '../../src/registry/registry.ts'
import { memoryStore, openDatabase, type Store } from '../../src/store/store.ts'
import { identityFromSeed } from '../../src/wire/wire.ts'

interface Node {
  store: Store
  names: Ledger
  registry: Registry
}

const authority = identityFromSeed(new Uint8Array(32).fill(9)).publicKey
const repository = parseRepository('team/app')
const latest = parseTag('latest')

/** A registry with a ledger and a store of its own; `elsewhere` may be filled in later. */
async function openNode(
  opened: AsyncDisposableStack,
  seed: number,
  elsewhere: Elsewhere = nowhere,
  sparse: Sparse = 'indexes',
): Promise<Node> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-registry-'))
  opened.defer(() => rm(directory, { recursive: true }))
  const db = opened.adopt(await openDatabase(directory), (database) => database.close())
  const identity = identityFromSeed(new Uint8Array(32).fill(seed))
  const names = opened.use(await openLedger({ db, identity, authority }))
  const store = opened.use(memoryStore())
  return { store, names, registry: opened.use(createRegistry({ store, names, elsewhere, sparse })) }
}

/** The rest of the cluster is one other node, reached without a network. */
function reaching(other: Node, self: () => Node): Elsewhere & { asked: string[] } {
  const asked: string[] = []
  const hand = async (key: Parameters<Ledger['findRecord']>[0]) => {
    const record = other.names.findRecord(key)
    if (record !== undefined) await self().names.apply([record])
    return undefined
  }
  const bring = async (from: typeof repository, digest: Digest): Promise<boolean> => {
    asked.push(digest)
    if (!(await other.store.links.has(from, digest))) return false
    const blob = await other.store.blobs.open(digest)
    if (blob === undefined) return false
    await using open = blob
    await self().store.blobs.write(digest, open.chunks(0, open.size))
    return true
  }
  return {
    ...nowhere,
    asked,
    askForTag: (name, tag) => hand({ kind: 'tag', repository: name, tag }),
    askForManifest: (name, digest) => hand({ kind: 'manifest', repository: name, digest }),
    fetchManifest: (_name, digest) => {
      asked.push(digest)
      return other.store.manifests.get(digest)
    },
    findBlob: async (name, digest) =>
      (await other.store.links.has(name, digest)) ? other.store.blobs.stat(digest) : undefined,
    openBlob: async (name, digest) =>
      (await bring(name, digest)) ? self().store.blobs.open(digest) : undefined,
    fetchBlob: bring,
  }
}

async function openPair(opened: AsyncDisposableStack, sparse: Sparse = 'indexes') {
  const far = await openNode(opened, 1, nowhere, sparse)
  let near: Node | undefined
  const elsewhere = reaching(far, () => {
    if (near === undefined) throw new Error('asked before it was open')
    return near
  })
  near = await openNode(opened, 2, elsewhere)
  return { far, near, elsewhere }
}

async function pushImage({ registry: { push } }: Node, name = repository) {
  const [config, layer] = await Promise.all([pushBlob(push, name, '{}'), pushBlob(push, name, 'a layer')])
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer, size: 7 }],
  }
  const bytes = Buffer.from(JSON.stringify(manifest))
  const { digest } = await push.putManifest(
    name,
    { tag: latest },
    { bytes, contentType: mediaTypes.ociManifest },
  )
  return { digest, bytes, config, layer }
}

async function pushBlob(push: Registry['push'], name: typeof repository, text: string): Promise<Digest> {
  const started = await push.startUpload(name)
  if (!('upload' in started)) throw new Error('nothing was to be mounted')
  const { id } = started.upload
  await push.appendUpload(
    name,
    id,
    (async function* () {
      yield Buffer.from(text)
    })(),
  )
  const digest = digestBytes(Buffer.from(text))
  await push.finishUpload(name, id, digest)
  return digest
}

async function read({ registry: { pull } }: Node, digest: Digest): Promise<string> {
  await using blob = await pull.openBlob(repository, digest)
  let text = ''
  for await (const chunk of blob.chunks(0, blob.size)) text += Buffer.from(chunk).toString()
  return text
}

describe('what is not here', () => {
  it('reads no blob of another repository by naming it as one that may be missing', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near } = await openPair(opened)
    const own = parseRepository('mallory/app')
    const secret = await pushBlob(near.registry.push, repository, 'a secret layer')
    const config = await pushBlob(far.registry.push, own, '{}')
    const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
      layers: [{ mediaType: foreign, digest: secret, size: 14 }],
    }
    const body = { bytes: Buffer.from(JSON.stringify(manifest)), contentType: mediaTypes.ociManifest }
    await far.registry.push.putManifest(own, { tag: latest }, body)
    await near.registry.pull.getManifest(own, { tag: latest })
    await expect(near.registry.pull.openBlob(own, secret)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
    await expect(near.registry.pull.statBlob(own, secret)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
    expect(await near.registry.pull.statBlob(own, config)).toEqual({ size: 2 })
  })

  it('reads no blob of another repository by a manifest that an index calls by another type', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near } = await openPair(opened)
    const own = parseRepository('mallory/app')
    const secret = await pushBlob(near.registry.push, repository, 'a secret layer')
    const blob = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: secret, size: 14 }
    const child = Buffer.from(JSON.stringify({ schemaVersion: 2, config: blob, layers: [] }))
    const digest = digestBytes(child)
    const opaque = { bytes: child, contentType: 'application/vnd.example+json' }
    await far.registry.push.putManifest(own, { digest }, opaque)
    const record = far.names.findRecord({ kind: 'manifest', repository: own, digest })
    await near.names.apply(record === undefined ? [] : [record])
    const index = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [{ mediaType: mediaTypes.ociManifest, digest, size: child.length }],
    }
    const body = { bytes: Buffer.from(JSON.stringify(index)), contentType: mediaTypes.ociIndex }
    await near.registry.push.putManifest(own, { tag: latest }, body)
    await expect(near.registry.pull.openBlob(own, secret)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
  })

  it.each([
    ['a child of an index', 'indexes', { manifests: 1 }],
    ['a layer of an image', 'all', { layers: 1 }],
  ] as const)(
    'reads no blob of another repository by naming it as %s that is missing',
    async (_, sparse, part) => {
      await using opened = new AsyncDisposableStack()
      const { far, near } = await openPair(opened, sparse)
      const own = parseRepository('mallory/app')
      const secret = await pushBlob(near.registry.push, repository, 'a secret layer')
      const config = await pushBlob(far.registry.push, own, '{}')
      const descriptor = { mediaType: mediaTypes.ociManifest, digest: secret, size: 14 }
      const content =
        'manifests' in part
          ? { manifests: [descriptor] }
          : { config: { mediaType: 'a/b', digest: config, size: 2 }, layers: [descriptor] }
      const contentType = 'manifests' in part ? mediaTypes.ociIndex : mediaTypes.ociManifest
      const body = { bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, ...content })), contentType }
      const { digest } = await far.registry.push.putManifest(own, { tag: latest }, body)
      expect((await far.names.findManifest(own, digest))?.absent).toEqual([secret])
      await near.registry.pull.getManifest(own, { tag: latest })
      await expect(near.registry.pull.openBlob(own, secret)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
      await expect(near.registry.pull.statBlob(own, secret)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
    },
  )

  it('comes from who has it for that repository, though it may be missing', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near } = await openPair(opened)
    const config = await pushBlob(far.registry.push, repository, '{}')
    const layer = await pushBlob(far.registry.push, repository, 'a foreign layer')
    const foreign = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
      layers: [{ mediaType: foreign, digest: layer, size: 15 }],
    }
    const body = { bytes: Buffer.from(JSON.stringify(manifest)), contentType: mediaTypes.ociManifest }
    await far.registry.push.putManifest(repository, { tag: latest }, body)
    await near.registry.pull.getManifest(repository, { tag: latest })
    expect(await read(near, layer)).toBe('a foreign layer')
    expect(await near.store.links.has(repository, layer)).toBe(true)
  })

  it('comes from elsewhere: the tag, its manifest, and then the blobs, once each', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near, elsewhere } = await openPair(opened)
    const image = await pushImage(far)
    for (let round = 0; round < 2; round++) {
      const manifest = await near.registry.pull.getManifest(repository, { tag: latest })
      expect([manifest.digest, Buffer.from(manifest.bytes).equals(image.bytes)]).toEqual([image.digest, true])
      expect(await near.registry.pull.statBlob(repository, image.layer)).toEqual({ size: 7 })
      expect(await read(near, image.layer)).toBe('a layer')
    }
    expect(elsewhere.asked).toEqual([image.digest, image.layer])
  })

  it('has its other layers brought along once one of them is read whole, and not for ranges of one', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near, elsewhere } = await openPair(opened)
    const layers = await Promise.all(
      ['one', 'two', 'three'].map((text) => pushBlob(far.registry.push, repository, text)),
    )
    const config = await pushBlob(far.registry.push, repository, '{}')
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
      layers: layers.map((digest) => ({
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest,
        size: 5,
      })),
    }
    const body = { bytes: Buffer.from(JSON.stringify(manifest)), contentType: mediaTypes.ociManifest }
    await far.registry.push.putManifest(repository, { tag: latest }, body)
    const brought: Digest[][] = []
    elsewhere.prefetch = (_name, digests) => {
      if (digests.length > 0) brought.push(digests)
    }
    const { pull } = near.registry
    const [one, two, three] = layers
    if (one === undefined) throw new Error('three were pushed')
    await pull.getManifest(repository, { tag: latest })
    await using _config = await pull.openBlob(repository, config)
    await using _part = await pull.openBlob(repository, one, { ranges: () => [{ start: 0, end: 1 }] })
    expect(brought).toEqual([])
    await using _whole = await pull.openBlob(repository, one)
    await using _again = await pull.openBlob(repository, one)
    expect(brought).toEqual([[two, three]])
  })

  it('is brought for a cache of BuildKit’s whose index lists blobs that another node has', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near } = await openPair(opened)
    const layer = await pushBlob(far.registry.push, repository, 'a cached layer')
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'
    const content = { schemaVersion: 2, manifests: [{ mediaType, digest: layer, size: 14 }] }
    const body = { bytes: Buffer.from(JSON.stringify(content)), contentType: mediaTypes.ociIndex }
    const { digest } = await near.registry.push.putManifest(repository, { tag: latest }, body)
    expect(await near.store.blobs.stat(layer)).toEqual({ size: 14 })
    expect((await near.names.findManifest(repository, digest))?.absent).toBeUndefined()
  })

  it('is told of without being brought here', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near, elsewhere } = await openPair(opened)
    const { digest, bytes } = await pushImage(far)
    const facts = await near.registry.pull.statManifest(repository, { tag: latest })
    expect(facts).toMatchObject({ digest, size: bytes.length, mediaType: mediaTypes.ociManifest })
    expect(elsewhere.asked).toEqual([])
  })

  it('is told of by the size that its manifests say, whoever says that they have it', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near, elsewhere } = await openPair(opened)
    const image = await pushImage(far)
    const asked: (readonly number[] | undefined)[] = []
    elsewhere.findBlob = async (_name, _digest, { sizes } = {}) => {
      asked.push(sizes)
      return undefined
    }
    const stat = near.registry.pull.statBlob(repository, image.layer)
    await expect(stat).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
    await near.registry.pull.getManifest(repository, { tag: latest })
    await near.registry.pull.statBlob(repository, image.layer).catch(() => undefined)
    expect(asked).toEqual([[], [7]])
  })

  it('is a 404 when nobody has it', async () => {
    await using opened = new AsyncDisposableStack()
    const { near } = await openPair(opened)
    const digest = digestBytes(Buffer.from('nowhere'))
    await expect(near.registry.pull.getManifest(repository, { tag: latest })).rejects.toMatchObject({
      code: 'MANIFEST_UNKNOWN',
    })
    await expect(near.registry.pull.getManifest(repository, { digest })).rejects.toMatchObject({
      code: 'MANIFEST_UNKNOWN',
    })
    await expect(near.registry.pull.openBlob(repository, digest)).rejects.toMatchObject({
      code: 'BLOB_UNKNOWN',
    })
  })

  it('is a 503 when members that may have it do not answer, but for the question of who is pushing it', async () => {
    await using opened = new AsyncDisposableStack()
    const silent: Elsewhere = {
      ...nowhere,
      askForTag: async () => 'silence',
      askForManifest: async () => 'silence',
    }
    const near = await openNode(opened, 2, silent)
    const { pull, push } = near.registry
    const digest = digestBytes(Buffer.from('anywhere'))
    const later = { code: 'UNAVAILABLE', retryAfterMs: 1_000 }
    await expect(pull.getManifest(repository, { tag: latest })).rejects.toMatchObject(later)
    await expect(pull.statManifest(repository, { tag: latest })).rejects.toMatchObject(later)
    await expect(pull.getManifest(repository, { digest })).rejects.toMatchObject(later)
    await push.startUpload(repository)
    const unknown = { code: 'MANIFEST_UNKNOWN' }
    await expect(pull.statManifest(repository, { tag: latest })).rejects.toMatchObject(unknown)
    await expect(pull.statManifest(repository, { digest })).rejects.toMatchObject(unknown)
    // Another may have pushed a tag there meanwhile, for whoever pulls it.
    await expect(pull.getManifest(repository, { tag: latest })).rejects.toMatchObject(later)
    await expect(pull.getManifest(repository, { digest })).rejects.toMatchObject(later)
  })

  it('is a 503 when its tag is known and nobody gives it, and a 404 where it has none', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near } = await openPair(opened)
    const { digest } = await pushImage(far)
    far.store.manifests.get = async () => undefined
    const { pull } = near.registry
    const later = { code: 'UNAVAILABLE', retryAfterMs: 1_000 }
    await expect(pull.getManifest(repository, { tag: latest })).rejects.toMatchObject(later)
    await expect(pull.getManifest(repository, { digest })).rejects.toMatchObject(later)
    await near.names.publish([{ kind: 'tag', repository, tag: latest, value: undefined }])
    await expect(pull.getManifest(repository, { digest })).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
  })

  it('is not given to a repository that may not read it there', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near } = await openPair(opened)
    const { layer } = await pushImage(far)
    const stranger = parseRepository('other/app')
    await expect(near.registry.pull.openBlob(stranger, layer)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
    expect(
      await near.registry.push.startUpload(stranger, { mount: { digest: layer, from: stranger } }),
    ).toHaveProperty('upload')
    expect(
      await near.registry.push.startUpload(stranger, { mount: { digest: layer, from: repository } }),
    ).toEqual({ mounted: { digest: layer, size: 7 } })
  })

  it('is uploaded where it cannot be mounted, as what holds it does not answer', async () => {
    await using opened = new AsyncDisposableStack()
    const away: Elsewhere = {
      ...nowhere,
      fetchBlob: async () => {
        throw new OciError('UNAVAILABLE', 'docker.io does not answer')
      },
    }
    const { registry } = await openNode(opened, 1, away)
    const from = parseRepository('docker.io/library/alpine')
    const mount = { digest: digestBytes(Buffer.from('a layer')), from }
    expect(await registry.push.startUpload(repository, { mount })).toHaveProperty('upload')
  })

  it('is brought here before a manifest that refers to it is accepted', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near } = await openPair(opened)
    const image = await pushImage(far)
    const { push } = near.registry
    const tag = parseTag('copy')
    await push.putManifest(repository, { tag }, { bytes: image.bytes, contentType: mediaTypes.ociManifest })
    for (const digest of [image.config, image.layer])
      expect(await near.store.blobs.stat(digest)).toBeDefined()
    expect((await near.registry.pull.getManifest(repository, { tag })).digest).toBe(image.digest)
  })
})

describe('what nobody has', () => {
  it.each([
    ['docker.io/library/alpine', /no member mirrors docker\.io; shoal serve --upstream docker\.io does$/],
    ['registry.corp/x/y', /no member mirrors registry\.corp; shoal serve --upstream registry\.corp does$/],
    ['team/app', /^team\/app has no tag latest$/],
    ['localhost/app', /^localhost\/app has no tag latest$/],
    ['v1.2/app', /^v1\.2\/app has no tag latest$/],
  ])('is called by how it would be mirrored where the name is a registry’s: %s', async (name, message) => {
    await using opened = new AsyncDisposableStack()
    const { registry } = await openNode(opened, 1)
    const asking = registry.pull.getManifest(parseRepository(name), { tag: latest })
    await expect(asking).rejects.toMatchObject({
      code: 'MANIFEST_UNKNOWN',
      message: expect.stringMatching(message),
    })
  })

  it('is no matter of mirroring where the cluster has the repository', async () => {
    await using opened = new AsyncDisposableStack()
    const node = await openNode(opened, 1)
    const own = parseRepository('our.team/app')
    await pushImage(node, own)
    await expect(node.registry.pull.getManifest(own, { tag: parseTag('2') })).rejects.toThrow(
      /^our\.team\/app has no tag 2$/,
    )
  })
})

describe('the manifest cache', () => {
  it('follows a tag that another node moved, and a manifest that another node deleted', async () => {
    await using opened = new AsyncDisposableStack()
    const { far, near } = await openPair(opened)
    const { digest } = await pushImage(far)
    const get = () => near.registry.pull.getManifest(repository, { tag: latest })
    expect((await get()).digest).toBe(digest)
    await far.registry.deletion.deleteManifest(repository, { digest })
    const records = [
      far.names.findRecord({ kind: 'tag', repository, tag: latest }),
      far.names.findRecord({ kind: 'manifest', repository, digest }),
    ].filter((record) => record !== undefined)
    await near.names.apply(records)
    await expect(get()).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
  })
})
