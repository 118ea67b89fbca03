import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { planText } from '../../../node/commands/gc.ts'
import { parseDigest, parseRepository, parseTag } from '../../../src/oci/oci.ts'
import { type Image, type Index, jsonContent, makeImage, makeIndex } from '../../e2e/image.ts'
import { type OperatedNode, openOperatedNode } from './fixture.ts'

const app = parseRepository('team/app')

/** An index of these images alone. */
function listing(images: Image[]): Index {
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const manifests = images.map(({ manifest }) => manifest.descriptor)
  return { manifest: jsonContent(mediaType, { schemaVersion: 2, mediaType, manifests }), images }
}

function referring({ manifest: { descriptor } }: Index): Image {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const config = jsonContent('application/vnd.oci.empty.v1+json', {})
  const body = { schemaVersion: 2, mediaType, config: config.descriptor, layers: [], subject: descriptor }
  return { manifest: jsonContent(mediaType, body), config, layers: [] }
}

describe('collecting manifests that lost their tag', () => {
  let operated: OperatedNode
  beforeEach(async () => {
    operated = await openOperatedNode()
  })
  afterEach(async () => await operated[Symbol.asyncDispose]())

  const everything = { dryRun: false, graceMs: 0, untaggedMs: 0 }
  const collect = (params: object = everything) => operated.perform('gc', { ...everything, ...params })
  const holds = async (digest: string): Promise<boolean> =>
    (await operated.node.store.manifests.get(parseDigest(digest))) !== undefined
  const digestOf = ({ manifest }: Pick<Image, 'manifest'>): string => manifest.descriptor.digest
  const images = ['one', 'two', 'three'].map((seed) => makeImage({ seed, layerBytes: [10, 20] }))

  it('takes uploads that broke off where a grace is given, and none that is under way', async () => {
    const { uploads } = operated.node.store
    const { id } = await uploads.create(app)
    const expire = vi.spyOn(uploads, 'expire')
    await operated.perform('gc', { dryRun: false })
    expect(expire).not.toHaveBeenCalled()
    expect((await collect()).uploads).toBeUndefined()
    expect(await uploads.find(app, id)).toBeDefined()
    expire.mockResolvedValueOnce(2)
    expect((await collect({ graceMs: 3_600_000 })).uploads).toBe(2)
    expect(expire.mock.calls).toEqual([[60_000], [3_600_000]])
  })

  it('takes what a tag that moved has left behind, with its layers', async () => {
    for (const image of images) await operated.push(app, 'latest', image)
    const planned = await collect({ dryRun: true })
    expect(await collect()).toEqual(planned)
    expect(planned).toMatchObject({ manifests: 2 })
    expect(await Promise.all(images.map((image) => holds(digestOf(image))))).toEqual([false, false, true])
  })

  it('leaves it for as long as the node is told to, and for what a tag names for ever', async () => {
    for (const image of images) await operated.push(app, 'latest', image)
    expect(await collect({ untaggedMs: 3_600_000 })).toMatchObject({ manifests: 0 })
    await operated.node.names.publish([
      { kind: 'tag', repository: app, tag: parseTag('latest'), value: undefined },
    ])
    expect(await collect()).toMatchObject({ manifests: 3 })
  })

  it('takes an index with what it lists, and what refers to it, and leaves what another index lists', async () => {
    const index = makeIndex('gone')
    const other = listing(index.images.slice(0, 1))
    const signature = referring(index)
    await operated.push(app, 'latest', index)
    await operated.push(app, undefined, signature)
    expect(await collect()).toMatchObject({ manifests: 0, links: 0 })
    await operated.push(app, 'latest', other)
    await collect()
    expect(await holds(digestOf(index))).toBe(false)
    expect(await holds(digestOf(signature))).toBe(false)
    expect(await holds(digestOf(other))).toBe(true)
    expect(await Promise.all(index.images.map((child) => holds(digestOf(child))))).toEqual([true, false])
  })

  it('lets it be pushed again, child by child as clients do that ask first', async () => {
    const index = makeIndex('again')
    await operated.push(app, 'latest', index)
    await operated.push(app, 'latest', makeImage({ seed: 'other', layerBytes: [10] }))
    await collect()
    const { pull } = operated.registry
    for (const child of [index, ...index.images]) {
      const digest = parseDigest(digestOf(child))
      await expect(pull.statManifest(app, { digest })).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
    }
    await operated.push(app, 'latest', index)
    expect((await pull.getManifest(app, { tag: parseTag('latest') })).digest).toBe(digestOf(index))
  })
})

it('plans what would go to make room, with its reason, and removes nothing', async () => {
  await using operated = await openOperatedNode()
  const { store } = operated.node
  const mirrored = makeImage({ seed: 'mirrored', layerBytes: [1_000, 2_000] })
  await operated.push('docker.io/library/alpine', '3', mirrored)
  await operated.push('team/own', '1', makeImage({ seed: 'own', layerBytes: [1_000] }))
  store.room.follow({
    isWhole: () => true,
    isWanted: () => false,
    holdOf: async (repository) => ({ belongs: repository.startsWith('docker.io/') ? 'outside' : 'own' }),
  })
  const plan = await operated.perform('gc-plan', {})
  const blobs = [mirrored.config, ...mirrored.layers].map(({ descriptor }) => descriptor.digest)
  expect(plan.blobs.map(({ digest }) => digest).toSorted()).toEqual(blobs.toSorted())
  for (const blob of plan.blobs)
    expect(blob).toMatchObject({ reason: 'mirrored', repository: 'docker.io/library/alpine' })
  expect(plan.totals).toMatchObject({ mirrored: { blobs: 3 }, surplus: { blobs: 0 } })
  for (const digest of blobs) expect(await store.blobs.stat(parseDigest(digest))).toBeDefined()
})

it('puts a plan into words, by reason and repository in the turn in which they go', () => {
  const blob = { digest: 'sha256:1', bytes: 2_048, unusedMs: 60_000 }
  const none = { blobs: 0, bytes: 0 }
  const text = planText({
    limit: { filledBytes: 960, maxBytes: 1_000, highBytes: 950, lowBytes: 900, isStuck: false },
    garbage: { blobs: 0, manifests: 0, links: 0, bytes: 0 },
    totals: {
      part: none,
      mirrored: { blobs: 2, bytes: 4_096 },
      surplus: { blobs: 1, bytes: 2_048 },
      unreferenced: none,
    },
    blobs: [
      { ...blob, reason: 'mirrored', repository: 'docker.io/library/alpine' },
      { ...blob, reason: 'mirrored', repository: 'docker.io/library/alpine' },
      { ...blob, reason: 'surplus', repository: 'team/app' },
    ],
  })
  expect(text.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | ').trim())).toEqual([
    'would remove 0 blobs and 0 manifests: 0 B',
    '960 B of 1000 B are filled. Above 950 B, 6.0 KiB may go, in this order:',
    'WHY | REPOSITORY | BLOBS | SIZE | UNUSED FOR',
    'its upstream has it | docker.io/library/alpine | 2 | 4.0 KiB | 1 min',
    'enough other members have it | team/app | 1 | 2.0 KiB | 1 min',
    '',
  ])
})
