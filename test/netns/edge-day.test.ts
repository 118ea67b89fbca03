/** A day at the edge: a site keeps images, its line is cut, its nodes restart and work, and the line comes back. */
import { readdir } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { ListedRule } from '../../node/operations/keep.ts'
import { type Client, pullManifest, pushBlob, pushManifest, UnexpectedAnswerError } from '../e2e/client.ts'
import { type Content, content, jsonContent, seededBytes, sha256 } from '../e2e/image.ts'
import { showOutputOnFailure } from '../e2e/process.ts'
import { requires } from '../e2e/requirement.ts'
import { until } from '../swarm/fixture.ts'
import { type ClusterNode, isMesh, keepOneCopy, openClusterNode } from './cluster-node.ts'
import { deleteTag, listNames, resolveTag } from './names.ts'
import { type Network, networkNeeds, openNetwork } from './network.ts'

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const layerType = 'application/vnd.oci.image.layer.v1.tar'
const baseBytes = 3_000_000
const changeBytes = 200_000
const meetMs = 60_000

interface SmallImage {
  manifest: Content
  blobs: Content[]
}

/** Images share their base; what changes from one version to the next is the last layer. */
function makeImage(app: string, version: string, subject?: Content): SmallImage {
  const layers = [
    content(layerType, seededBytes(`base of ${app}`, baseBytes)),
    content(layerType, seededBytes(`${app} ${version}`, changeBytes)),
  ]
  const config = jsonContent('application/vnd.oci.image.config.v1+json', { app, version })
  const manifest = jsonContent(manifestType, {
    schemaVersion: 2,
    mediaType: manifestType,
    config: config.descriptor,
    layers: layers.map(({ descriptor }) => descriptor),
    ...(subject === undefined
      ? {}
      : { subject: subject.descriptor, artifactType: 'application/vnd.example.sbom' }),
  })
  return { manifest, blobs: [config, ...layers] }
}

async function push(
  client: Client,
  app: string,
  reference: string,
  { manifest, blobs }: SmallImage,
): Promise<void> {
  for (const blob of blobs) await pushBlob(client, app, blob)
  await pushManifest(client, app, reference, manifest)
}

/** As a client pulls: the manifest, then each blob, whose bytes are compared. */
async function pull(
  client: Client,
  app: string,
  reference: string,
  { manifest, blobs }: SmallImage,
): Promise<void> {
  const answer = await pullManifest(client, app, reference)
  expect(sha256(answer.body)).toBe(manifest.descriptor.digest)
  for (const { descriptor } of blobs) {
    const blob = await client.ask('GET', `/v2/${app}/blobs/${descriptor.digest}`)
    if (blob.status !== 200) throw new UnexpectedAnswerError(`GET of ${descriptor.digest}`, blob)
    expect(sha256(blob.body)).toBe(descriptor.digest)
  }
}

async function listRules(node: ClusterNode): Promise<ListedRule> {
  const [rule] = JSON.parse(await node.shoal('keep', 'ls', '--json')) as ListedRule[]
  if (rule === undefined) throw new Error(`${node.name} has no rule`)
  return rule
}

/** Each image is at one of them, whole, and they agree on whose it is. */
async function isKept(nodes: ClusterNode[], images: number): Promise<boolean> {
  const rules = await Promise.all(nodes.map(listRules))
  const complete = rules.reduce((sum, rule) => sum + rule.complete, 0)
  return complete === images && rules.every((rule) => rule.images === images && rule.missing.length === 0)
}

/** Blobs of the image that are on the node's disk. */
async function holders(node: ClusterNode, { blobs }: SmallImage): Promise<string[]> {
  const files = await readdir(node.folder.at('data', 'blobs'), { recursive: true })
  const names = blobs.map(({ descriptor }) => descriptor.digest.slice('sha256:'.length))
  return names.filter((name) => files.some((file) => file.endsWith(name)))
}

/** Bytes in and out of a host since it began. */
async function bytesOf(node: ClusterNode): Promise<number> {
  const folder = '/sys/class/net/eth0/statistics'
  const { stdout } = await node.run('cat', `${folder}/rx_bytes`, `${folder}/tx_bytes`)
  return stdout
    .trim()
    .split('\n')
    .reduce((sum, line) => sum + Number(line), 0)
}

describe('an edge site', requires(...networkNeeds), () => {
  const stack = new AsyncDisposableStack()
  const nodes: ClusterNode[] = []
  let network: Network

  beforeAll(async () => {
    network = stack.use(await openNetwork(3))
    for (const [index, host] of network.hosts.entries()) {
      const token = await nodes[0]?.shoal('token')
      const flags = [
        '--no-mdns',
        ...(token === undefined ? [] : ['--join', token]),
        ...(index === 0 ? [] : ['--site', 'edge']),
      ]
      nodes.push(stack.use(await openClusterNode(host, { flags })))
    }
    await until('the nodes to meet', () => isMesh(nodes), meetMs)
    if (nodes[0] !== undefined) await keepOneCopy(nodes[0])
  }, 120_000)
  afterAll(async () => await stack.disposeAsync(), 60_000)
  afterEach(async () => await network.heal())
  showOutputOnFailure(() => nodes)

  test('keeps what it was told to, goes on without its line, and brings only the difference afterwards', async () => {
    const [office, ...site] = nodes
    const [first, second] = site
    if (office === undefined || first === undefined || second === undefined) throw new Error('three nodes')
    const web = makeImage('web', '1')
    const api = makeImage('api', '1')
    const sbom = makeImage('sbom', '1', web.manifest)
    await push(office.client, 'apps/web', '1', web)
    await push(office.client, 'other/tool', '1', makeImage('tool', '1'))
    for (const node of site) await node.shoal('keep', 'add', 'apps/*', '--site')
    await until('what exists to be kept', () => isKept(site, 1), meetMs)
    await push(office.client, 'apps/api', '1', api)
    await push(office.client, 'apps/web', sbom.manifest.descriptor.digest, sbom)
    await until('what is new to be kept', () => isKept(site, 2), meetMs)
    expect((await listRules(first)).complete + (await listRules(second)).complete).toBe(2)

    const [officeHost, ...siteHosts] = network.hosts
    if (officeHost === undefined) throw new Error('an office')
    await network.partition([officeHost], siteHosts)
    for (const node of site) await node.stop()
    for (const node of site) await node.start()
    await until('the site to meet without the office', () => isMesh(site), meetMs)
    for (const { client } of site) {
      await pull(client, 'apps/web', '1', web)
      await pull(client, 'apps/api', '1', api)
      await pull(client, 'apps/web', sbom.manifest.descriptor.digest, sbom)
    }
    await expect(pullManifest(first.client, 'other/tool', '1')).rejects.toThrow(UnexpectedAnswerError)

    const siteMade = makeImage('web', '2')
    const officeMade = makeImage('api', '2')
    await push(second.client, 'apps/web', '2', siteMade)
    await until(
      'the new tag in the site',
      async () => (await resolveTag(first.client, 'apps/web', '2')) !== undefined,
      meetMs,
    )
    await pull(first.client, 'apps/web', '2', siteMade)
    await push(office.client, 'apps/api', '2', officeMade)
    await deleteTag(office.client, 'apps/api', '1')
    expect(await resolveTag(first.client, 'apps/api', '2')).toBeUndefined()

    const before = await bytesOf(office)
    await network.heal()
    await until('all to meet again', () => isMesh(nodes), meetMs)
    await until('the site to keep what the office made', () => isKept(site, 3), meetMs)
    for (const app of ['apps/web', 'apps/api']) {
      const seen = async () =>
        await Promise.all(nodes.map(({ client }) => listNames(client, app, web.manifest)))
      await until(
        `all to agree on ${app}`,
        async () => new Set((await seen()).map((each) => JSON.stringify(each))).size === 1,
        meetMs,
      )
    }
    expect(await resolveTag(first.client, 'apps/api', '1')).toBeUndefined()
    const crossed = (await bytesOf(office)) - before
    // The layer that changed, to the one node that keeps it; records and the talk of meeting again are small beside it.
    expect(crossed).toBeGreaterThan(changeBytes)
    expect(crossed).toBeLessThan(changeBytes + baseBytes / 2)
    await pull(first.client, 'apps/api', '2', officeMade)
    await pull(office.client, 'apps/web', '2', siteMade)
  }, 240_000)

  test('gives what it has to another site that it cannot reach, through a member that both reach', async () => {
    const [office, first, second] = nodes
    const [, firstHost, secondHost] = network.hosts
    if (!office || !first || !second || !firstHost || !secondHost) throw new Error('three nodes')
    // As behind two lines that only dial out.
    await network.partition([firstHost], [secondHost])
    await second.stop()
    await second.start()
    await until('it to meet the office', async () => (await second.peers()).includes(office.peer), meetMs)
    const image = makeImage('between', '1')
    await push(first.client, 'other/between', '1', image)
    expect(await holders(office, image)).toEqual([])
    // The office passes the record on, and may be behind with that.
    await until(
      'the tag beyond it',
      async () => (await resolveTag(second.client, 'other/between', '1')) !== undefined,
      meetMs,
    )
    // Each part is looked for in vain first, so two of them will do.
    await pull(second.client, 'other/between', '1', { ...image, blobs: image.blobs.slice(-1) })
    // Pieces are handed on before the whole has its name.
    await until('the office to hold it', async () => (await holders(office, image)).length > 0, meetMs)
    expect(await holders(office, image)).toHaveLength(1)
  }, 120_000)
})
