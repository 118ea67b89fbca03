/** Three nodes on this host that know each other by name, with images to look at and a layer that takes its time. */
import { writeFile } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { until } from '../swarm/fixture.ts'
import { type Client, openClient, pushItem } from './client.ts'
import { type Content, content, type Image, jsonContent, makeImage, makeIndex, seededBytes } from './image.ts'
import { run } from './process.ts'
import { openRegistry, type Registry } from './registry.ts'

export interface PageNode {
  readonly name: string
  readonly registry: Registry
  readonly client: Client
  readonly url: string
}

export interface PageCluster extends AsyncDisposable {
  /** Whose page is looked at. */
  readonly here: PageNode
  /** Where everything was pushed. */
  readonly source: PageNode
  readonly third: PageNode
  /** With a layer that takes a while at the nodes' limits. */
  readonly large: Image
  /** Pulls the large layer of `team/models:large` until it is aborted. */
  pullLarge(node: PageNode, options: { signal: AbortSignal }): Promise<void>
}

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
const largeBytes = 48 * 2 ** 20
/** So much a second that the large layer is on its way for three minutes, in which a busy machine has looked at every view. */
const limits = ['--max-upload', '256KiB']

/** What must never be more than text: the tests look for its effects. */
export const hostile = {
  script: '<script>document.title = "owned"</script><img src=x onerror=\'document.title = "owned"\'>',
  link: 'javascript:document.title="owned"',
  disguised: 'https://docker.io@evil.example/',
  honest: 'https://example.com/source',
}

export async function openPageCluster(): Promise<PageCluster> {
  await using opened = new AsyncDisposableStack()
  const source = opened.use(await openNode('lighthouse', []))
  await setPolicy(source, {})
  const token = (await run(shoal, ['token', '--data', source.registry.data])).stdout.trim()
  const join = ['--join', token]
  const [here, third] = await Promise.all([
    openNode('harbour', join).then((node) => opened.use(node)),
    openNode('quay', join).then((node) => opened.use(node)),
  ])
  // A member that has yet to hear of the policy brings the second copy that is usual without one.
  await Promise.all([here, third].map((node) => until('the policy to come', () => hasPolicy(node), 30_000)))
  const large = await fillPage(source.client)
  const pulls = new Set<Promise<void>>()
  const stop = new AbortController()
  opened.defer(async () => {
    stop.abort(new Error('the test is over'))
    await Promise.allSettled(pulls)
  })
  const [layer] = large.layers
  if (layer === undefined) throw new Error('the large image has a layer')
  const resources = opened.move()
  return {
    here,
    source,
    third,
    large,
    async pullLarge(node, { signal }) {
      const pull = drain(
        node,
        `/v2/team/models/blobs/${layer.descriptor.digest}`,
        AbortSignal.any([signal, stop.signal]),
      )
      pulls.add(pull)
      await pull.finally(() => pulls.delete(pull))
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** One copy of each image, so that who holds what is what the tests say. */
export async function setPolicy(
  { registry: { data } }: Pick<PageNode, 'registry'>,
  policy: object,
): Promise<void> {
  const file = data.replace(/data$/, 'policy.json')
  await writeFile(file, JSON.stringify({ copies: 1, ...policy }))
  await run(shoal, ['policy', 'set', file, '--data', data])
}

async function hasPolicy({ registry: { data } }: PageNode): Promise<boolean> {
  const { stdout } = await run(shoal, ['policy', 'show', '--data', data])
  return stdout.includes('"copies": 1')
}

async function openNode(name: string, flags: string[]): Promise<PageNode & AsyncDisposable> {
  const registry = await openRegistry({ flags: ['--name', name, ...limits, ...flags] })
  const client = openClient(registry.port)
  return {
    name,
    registry,
    client,
    url: `http://localhost:${registry.port}/`,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]()
      await registry[Symbol.asyncDispose]()
    },
  }
}

/** Returns the image whose layer is large. */
export async function fillPage(client: Client): Promise<Image> {
  const shop = makeIndex('shop')
  await pushItem(client, 'team/shop', '1.4.2', shop)
  await pushItem(client, 'team/shop', 'latest', shop)
  await pushItem(client, 'team/shop', '1.4.1', makeIndex('shop before'))
  await pushItem(client, 'team/cellar', '7', makeImage({ seed: 'cellar' }))
  await pushItem(client, 'library/base', 'bookworm', makeImage({ seed: 'base', layerBytes: [20_000] }))
  for (const referrer of referrersOf(shop.manifest)) await pushReferrer(client, referrer)
  await pushItem(client, 'lab/odd', 'labels', withLabels())
  const large = makeImage({ seed: 'models', layerBytes: [largeBytes] })
  await pushItem(client, 'team/models', 'large', large)
  return large
}

const emptyConfig = jsonContent('application/vnd.oci.empty.v1+json', {})

function referrersOf(subject: Content): Content[] {
  const referrer = (artifactType: string, annotations: Record<string, string>) =>
    jsonContent('application/vnd.oci.image.manifest.v1+json', {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      artifactType,
      config: emptyConfig.descriptor,
      layers: [emptyConfig.descriptor],
      subject: subject.descriptor,
      annotations,
    })
  return [
    referrer('application/vnd.dev.cosign.artifact.sig.v1+json', {
      'org.example.signer': 'release@example.com',
    }),
    referrer('application/spdx+json', {
      'org.opencontainers.image.description': hostile.script,
      'org.opencontainers.image.url': hostile.link,
      'org.opencontainers.image.source': hostile.honest,
    }),
  ]
}

async function pushReferrer(client: Client, referrer: Content): Promise<void> {
  const image: Image = { manifest: referrer, config: emptyConfig, layers: [] }
  await pushItem(client, 'team/shop', referrer.descriptor.digest, image)
}

/** An image whose config says what no reader should believe. */
function withLabels(): Image {
  const layer = content('application/vnd.oci.image.layer.v1.tar', seededBytes('odd', 40_000))
  const config = jsonContent('application/vnd.oci.image.config.v1+json', {
    architecture: 'amd64',
    os: 'linux',
    author: hostile.script,
    config: {
      Entrypoint: ['/bin/odd', hostile.script],
      Labels: {
        script: hostile.script,
        link: hostile.link,
        disguised: hostile.disguised,
        honest: hostile.honest,
      },
    },
    rootfs: { type: 'layers', diff_ids: [layer.descriptor.digest] },
    history: [{ created_by: hostile.script }],
  })
  const manifest = jsonContent('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: config.descriptor,
    layers: [layer.descriptor],
    annotations: { script: hostile.script },
  })
  return { manifest, config, layers: [layer] }
}

/** Tags of one image, so that there are many and they are quick to make. */
export async function pushManyTags(client: Client, repository: string, count: number): Promise<void> {
  const image = makeImage({ seed: 'many', layerBytes: [1000] })
  await pushItem(client, repository, 'build-00000', image)
  const { bytes, descriptor } = image.manifest
  const headers = { 'content-type': descriptor.mediaType }
  const tagsAtOnce = 64
  for (let first = 1; first < count; first += tagsAtOnce) {
    const query = Array.from({ length: Math.min(tagsAtOnce, count - first) }, (_, index) => {
      return `tag=build-${String(first + index).padStart(5, '0')}`
    }).join('&')
    const put = await client.ask('PUT', `/v2/${repository}/manifests/${descriptor.digest}?${query}`, {
      headers,
      body: bytes,
    })
    if (put.status !== 201) throw new Error(`the tags were refused: ${put.status} ${put.body}`)
  }
}

/** Reads a blob to its end, or until it is told to stop or its node is gone. */
function drain(node: PageNode, path: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const request = http.get({ host: '127.0.0.1', port: node.registry.port, path, agent: false, signal })
  request.once('response', (response) => response.on('error', () => resolve()).resume())
  request.on('error', () => resolve()).once('close', resolve)
  return promise
}
