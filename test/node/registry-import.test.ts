/** Images of another registry become a node's: from its storage folder, and from one that runs. */
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ContentClient, contentClient } from '../../node/admin/content-client.ts'
import { openReachableNode } from '../../node/admin/reachable-node.ts'
import type { ImportedImage } from '../../node/archives/importer.ts'
import {
  type FailedImage,
  importRegistry,
  type RegistryProgress,
} from '../../node/archives/registry-importer.ts'
import { remoteRegistry } from '../../node/archives/remote-registry.ts'
import { type OtherRegistry, openDockerRegistry } from '../../src/archive/archive.ts'
import { digestBytes, mediaTypes, parseRepository, siblingTags } from '../../src/oci/oci.ts'
import {
  type ListedRegistry,
  openListedRegistry,
  UpstreamUnavailableError,
} from '../../src/upstream/upstream.ts'
import { blobPath, RegistryStorage } from '../archive/registry-storage.ts'
import { type Api, openApi } from '../http/harness.ts'
import { type Made, makeBlob, makeImage, makeIndex } from '../placement/world.ts'
import { Site } from './site.ts'

const { signal } = new AbortController()
const [web, db] = [parseRepository('team/apps/web'), parseRepository('db')]
let made = 0
const newImage = (): Made => makeImage([makeBlob(`layer ${made}`)], { seed: String(made++) })

let opened: AsyncDisposableStack
let folder: string
let storage: RegistryStorage
let here: Site
beforeEach(async () => {
  opened = new AsyncDisposableStack()
  folder = await mkdtemp(join(tmpdir(), 'shoal-other-'))
  opened.defer(() => rm(folder, { recursive: true }))
  storage = new RegistryStorage(join(folder, 'old'))
  here = new Site(join(folder, 'here'))
  await here.open(async () => undefined)
})
afterEach(() => opened.disposeAsync())

interface Options {
  patterns?: string[]
  replacesTags?: boolean
  content?: Partial<ContentClient>
}

async function take(
  source: OtherRegistry,
  { patterns = [], replacesTags = false, content = {} }: Options = {},
) {
  await using _source = source
  await using _node = await openReachableNode(here.settings)
  const images: (ImportedImage | FailedImage)[] = []
  const progress: RegistryProgress[] = []
  const report = await importRegistry({
    settings: here.settings,
    content: { ...contentClient(here.settings.data), ...content },
    source,
    patterns,
    replacesTags,
    onImage: (image) => images.push(image),
    onProgress: (now) => progress.push(now),
    signal,
  })
  return { report, images, progress }
}

const takeStorage = async (options?: Options) => take(await openDockerRegistry(storage.folder), options)

describe('the storage of a docker-registry', () => {
  it('comes with all repositories and tags, indexes, cosign’s tags, and what refers to them', async () => {
    const child = newImage()
    const index = makeIndex([{ ...child, platform: { os: 'linux', architecture: 'arm64' } }])
    const [other, signature] = [newImage(), newImage()]
    const referrer = makeImage([makeBlob('sbom')], { subject: index, seed: 'sbom' })
    const [, sig = ''] = siblingTags(index.digest)
    await storage.push(web, index, 'v1')
    await storage.push(web, signature, sig)
    await storage.push(web, referrer)
    await storage.push(web, newImage())
    await storage.push(db, other, '1')
    const { report, images, progress } = await takeStorage()
    expect(report).toMatchObject({ repositories: 2, imported: 4, failed: 0 })
    expect(images.map(({ name }) => name)).toEqual([
      'db:1',
      `team/apps/web:${sig}`,
      'team/apps/web:v1',
      `team/apps/web@${referrer.digest}`,
    ])
    expect(await here.holds(index, other, signature, referrer)).toBe(true)
    expect((await here.tag(web, 'v1'))?.digest).toBe(index.digest)
    const referrers = await here.open(({ names }) => names.listReferrers(web, index.digest, { limit: 10 }))
    expect(referrers.map(({ digest }) => digest)).toEqual([referrer.digest])
    expect(progress.at(-1)).toMatchObject({ repository: 2, repositories: 2, bytes: report.bytes })
  })

  it('has its blobs read by the node, and through the socket where the node cannot read them', async () => {
    const [near, far] = [newImage(), newImage()]
    await storage.push(web, near, 'near')
    const content = {
      write: () => Promise.reject(new Error('these bytes came through the socket')),
    }
    expect((await takeStorage({ content })).report).toMatchObject({ imported: 1, failed: 0 })
    await storage.push(web, far, 'far')
    const source = await openDockerRegistry(storage.folder)
    const elsewhere: OtherRegistry = {
      ...source,
      content: (repository) => ({ ...source.content(repository), pathOf: () => '/of/another/host' }),
    }
    const { report } = await take(elsewhere)
    expect(report).toMatchObject({ imported: 2, failed: 0 })
    expect(report.bytes).toBe(far.children.reduce((sum, { size }) => sum + size, 0))
    expect(await here.holds(near, far)).toBe(true)
  })

  it('is also taken by the folder that lies in it, and only what a pattern names', async () => {
    await storage.push(web, newImage(), '1')
    await storage.push(db, newImage(), '1')
    const source = await openDockerRegistry(join(storage.folder, 'docker/registry/v2'))
    expect((await take(source, { patterns: ['team/**'] })).images).toMatchObject([
      { name: 'team/apps/web:1' },
    ])
    expect(await here.tag(db, '1')).toBeUndefined()
  })

  it('goes on where it broke off, moves nothing twice and says nothing twice', async () => {
    const image = newImage()
    await storage.push(web, image, '1')
    await takeStorage()
    const first = await here.tag(web, '1')
    const again = await takeStorage()
    expect(again.report).toMatchObject({ imported: 1, bytes: 0 })
    expect(await here.tag(web, '1')).toEqual(first)
  })

  it('leaves a tag that stands for something else here, unless it is told to replace it', async () => {
    const [theirs, ours] = [newImage(), newImage()]
    await here.push(web, ours, '1')
    await storage.push(web, theirs, '1')
    expect((await takeStorage()).images).toMatchObject([{ stands: 'newer', digest: ours.digest }])
    expect((await here.tag(web, '1'))?.digest).toBe(ours.digest)
    await takeStorage({ replacesTags: true })
    expect((await here.tag(web, '1'))?.digest).toBe(theirs.digest)
  })

  it('names what is broken, and brings the others', async () => {
    const [whole, lacking, rotten, old] = [newImage(), newImage(), newImage(), newImage()]
    await storage.push(web, whole, 'whole')
    await storage.push(web, lacking, 'lacking')
    await storage.push(web, rotten, 'rotten')
    await storage.push(web, old, 'old')
    const [, layer = lacking] = lacking.children
    await rm(join(storage.folder, 'docker/registry/v2', blobPath(layer.digest)))
    const [, spoilt = rotten] = rotten.children
    await storage.write(blobPath(spoilt.digest), Buffer.alloc(spoilt.size))
    const schema1 = Buffer.from('{"schemaVersion":1}')
    await storage.write(blobPath(digestBytes(schema1)), schema1)
    await storage.write(`repositories/${web}/_manifests/tags/old/current/link`, digestBytes(schema1))
    await storage.write(`repositories/${web}/_manifests/tags/odd/current/link`, 'no digest')
    const { report, images } = await takeStorage()
    expect(report).toMatchObject({ imported: 1, failed: 4 })
    const failures = Object.fromEntries(
      images.map((image) => [image.name, 'failure' in image && image.failure]),
    )
    expect(failures).toEqual({
      [`${web}:lacking`]: expect.stringContaining(layer.digest),
      [`${web}:odd`]: expect.stringContaining('no digest'),
      [`${web}:old`]: expect.stringContaining('schema 1'),
      [`${web}:rotten`]: expect.stringContaining('hash to'),
      [`${web}:whole`]: false,
    })
    expect(await here.tag(web, 'rotten')).toBeUndefined()
  })

  it('is not left by links', async () => {
    const image = newImage()
    await new RegistryStorage(join(folder, 'elsewhere')).push(web, image, '1')
    await storage.push(db, newImage(), '1')
    const inside = 'docker/registry/v2/repositories'
    await symlink(join(folder, 'elsewhere', inside, 'team'), join(storage.folder, inside, 'team'))
    expect((await takeStorage()).images.map(({ name }) => name)).toEqual(['db:1'])
  })

  it('is no other folder', async () => {
    await expect(openDockerRegistry(folder)).rejects.toMatchObject({ code: 'ARCHIVE' })
  })
})

describe('a registry that runs', () => {
  let api: Api
  beforeEach(async () => {
    api = opened.use(await openApi())
  })

  const open = async (repositories?: string[]): Promise<OtherRegistry> => {
    const name = `127.0.0.1:${api.port}`
    const registry = await openListedRegistry({ name, url: new URL(`http://${name}`) }, { environment: {} })
    return remoteRegistry(registry, { name, repositories, signal })
  }

  it('gives all tags, and what refers to them', async () => {
    const { digest, bytes } = await api.pushImage('team/apps/web', 'v1', { layers: ['a', 'b'] })
    await api.pushImage('team/apps/web', 'v2')
    await api.pushImage('db', '1')
    const subject = { mediaType: mediaTypes.ociManifest, digest, size: bytes.length }
    const referrer = await api.pushImage('team/apps/web', 'sbom', { extra: { subject } })
    await api.call('DELETE', '/v2/team/apps/web/manifests/sbom')
    const { report, images } = await take(await open(), { patterns: ['team/**'] })
    expect(report).toMatchObject({ repositories: 1, imported: 3, failed: 0 })
    expect(images.map(({ name }) => name).toSorted()).toEqual([
      'team/apps/web:v1',
      'team/apps/web:v2',
      `team/apps/web@${referrer.digest}`,
    ])
    expect((await here.tag(web, 'v1'))?.digest).toBe(digest)
    const referrers = await here.open(({ names }) => names.listReferrers(web, digest, { limit: 10 }))
    expect(referrers.map(({ digest: each }) => each)).toEqual([referrer.digest])
  })

  it('that does not list its repositories is asked for those that are named', async () => {
    await api.pushImage('db', '1')
    const { images } = await take(await open(['db', 'nowhere']), { patterns: ['db', 'nowhere'] })
    expect(images).toMatchObject([{ name: 'db:1', stands: 'imported' }])
  })

  it('brings the rest where it does not let one repository be listed', async () => {
    await api.pushImage('db', '1')
    const source = await open()
    const references = source.references.bind(source)
    source.references = (repository) => {
      if (repository === web) throw new UpstreamUnavailableError('old', 'denied', 'does not let it be read')
      return references(repository)
    }
    await api.pushImage('team/apps/web', 'v1')
    const { report, images } = await take(source)
    expect(report).toMatchObject({ repositories: 2, imported: 1, failed: 1 })
    expect(images).toMatchObject([{ name: 'db:1' }, { name: web, failure: 'old does not let it be read' }])
  })

  it('is gone on with from where its line broke', async () => {
    const content = Buffer.from('one blob in several parts')
    const digest = digestBytes(content)
    const starts: number[] = []
    const breaking: Pick<ListedRegistry, 'openBlob'> = {
      async openBlob(_repository, _digest, { start = 0 } = {}) {
        starts.push(start)
        return {
          size: content.length,
          start,
          chunks: (async function* () {
            yield content.subarray(start, start + 10)
            if (start + 10 < content.length)
              throw new UpstreamUnavailableError('old', 'unreachable', 'broke off')
          })(),
          [Symbol.asyncDispose]: async () => undefined,
        }
      },
    }
    const source = remoteRegistry(breaking as ListedRegistry, { name: 'old', signal })
    const chunks: Uint8Array[] = []
    for await (const chunk of source.content(db).chunks(digest)) chunks.push(chunk)
    expect(Buffer.concat(chunks)).toEqual(content)
    expect(starts).toEqual([0, 10, 20])
  })

  it('that gives nothing more is given up', async () => {
    let tries = 0
    const silent: Pick<ListedRegistry, 'openBlob'> = {
      async openBlob() {
        tries++
        throw new UpstreamUnavailableError('old', 'unreachable', 'does not answer')
      },
    }
    const source = remoteRegistry(silent as ListedRegistry, { name: 'old', signal })
    const chunks = source
      .content(db)
      .chunks(digestBytes(Buffer.from('x')))
      [Symbol.asyncIterator]()
    await expect(chunks.next()).rejects.toMatchObject({ trouble: 'unreachable' })
    expect(tries).toBe(5)
  })
})
