import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { content, jsonContent, makeImage, makeIndex } from '../../e2e/image.ts'
import { type OperatedNode, openOperatedNode } from './fixture.ts'

const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const empty = content('application/vnd.oci.empty.v1+json', Buffer.from('{}'))

let operated: OperatedNode
beforeEach(async () => {
  operated = await openOperatedNode()
})
afterEach(async () => await operated[Symbol.asyncDispose]())

const remove = (image: string, changes: { whole?: boolean; dryRun?: boolean; asAuthority?: boolean } = {}) =>
  operated.perform('remove', { image, whole: false, dryRun: false, asAuthority: false, ...changes })
const tagsOf = async (repository: string) =>
  (await operated.perform('ls', { repository })).rows.map(({ name }) => name)
const digestOf = ({ manifest }: { manifest: { descriptor: { digest: string } } }) =>
  manifest.descriptor.digest

describe('removing a tag', () => {
  it('leaves the image while it has another one', async () => {
    const image = makeImage({ seed: 'rm', layerBytes: [10] })
    await operated.push('team/app', '1', image)
    await operated.pushManifest('team/app', '2', image.manifest)
    expect(await remove('team/app:1')).toEqual({ repository: 'team/app', tags: ['1'], manifests: [] })
    expect(await tagsOf('team/app')).toEqual(['2'])
    expect(await remove('team/app:2')).toMatchObject({ tags: ['2'], manifests: [digestOf(image)] })
    await expect(remove('team/app:2')).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
  })

  it('takes with an index what only it lists, and frees the room', async () => {
    const index = makeIndex('rm')
    await operated.push('team/app', '1', index)
    const [kept, taken] = index.images
    if (kept === undefined || taken === undefined) throw new Error('two images')
    await operated.pushManifest('team/app', 'kept', kept.manifest)
    const { manifests } = await remove('team/app:1')
    expect(manifests.toSorted()).toEqual([digestOf(index), digestOf(taken)].toSorted())
    const { blobs } = await operated.perform('gc', { dryRun: false, graceMs: 0 })
    expect(blobs).toBe(taken.layers.length + 1)
    expect(await tagsOf('team/app')).toEqual(['kept'])
  })

  it('leaves what another index lists as well', async () => {
    const index = makeIndex('rm')
    await operated.push('team/app', '1', index)
    const type = index.manifest.descriptor.mediaType
    const other = jsonContent(type, {
      schemaVersion: 2,
      mediaType: type,
      manifests: index.images.slice(0, 1).map(({ manifest }) => manifest.descriptor),
    })
    await operated.pushManifest('team/app', 'other', other)
    const { manifests } = await remove('team/app:1')
    expect(manifests).toHaveLength(2)
    expect(manifests).not.toContain(index.images[0] && digestOf(index.images[0]))
  })

  it('takes along what refers to the image and has no name of its own', async () => {
    const image = makeImage({ seed: 'rm', layerBytes: [10] })
    await operated.push('team/app', '1', image)
    await operated.pushBlob('team/app', empty)
    const note = (text: string) =>
      jsonContent(manifestType, {
        schemaVersion: 2,
        config: empty.descriptor,
        layers: [empty.descriptor],
        subject: image.manifest.descriptor,
        annotations: { text },
      })
    await operated.pushManifest('team/app', note('nameless').descriptor.digest, note('nameless'))
    await operated.pushManifest('team/app', 'note', note('named'))
    expect((await remove('team/app:1')).manifests).toEqual([
      digestOf(image),
      note('nameless').descriptor.digest,
    ])
    expect(await tagsOf('team/app')).toEqual(['note'])
  })

  it('only tells what would go in a dry run', async () => {
    await operated.push('team/app', '1', makeImage({ seed: 'rm', layerBytes: [10] }))
    expect(await remove('team/app:1', { dryRun: true })).toMatchObject({ tags: ['1'] })
    expect(await tagsOf('team/app')).toEqual(['1'])
  })
})

describe('removing a digest or a repository', () => {
  it('takes the tags of the digest', async () => {
    const image = makeImage({ seed: 'rm', layerBytes: [10] })
    await operated.push('team/app', '1', image)
    await operated.pushManifest('team/app', '2', image.manifest)
    expect(await remove(`team/app@${digestOf(image)}`)).toMatchObject({ tags: ['1', '2'] })
    expect(await tagsOf('team/app')).toEqual([])
  })

  it('wants to hear that a whole repository is meant', async () => {
    await operated.push('team/app', '1', makeImage({ seed: 'rm', layerBytes: [10] }))
    await operated.push('team/app', '2', makeIndex('rm'))
    await expect(remove('team/app')).rejects.toMatchObject({ code: 'WHOLE_REPOSITORY' })
    const removed = await remove('team/app', { whole: true })
    expect([removed.tags, removed.manifests.length]).toEqual([['1', '2'], 4])
    expect((await operated.perform('ls', {})).rows).toEqual([])
    await expect(remove('team/app', { whole: true })).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
  })
})

describe('a refusal to remove', () => {
  it('comes from the policy, says what would do, and the authority is above it', async () => {
    await operated.push('team/app', 'v1', makeImage({ seed: 'rm', layerBytes: [10] }))
    const policy = { immutable: [{ repositories: '**', tags: 'v*' }] }
    await operated.perform('policy-set', { policy })
    await expect(remove('team/app:v1')).rejects.toMatchObject({
      code: 'NOT_PERMITTED',
      message: expect.stringMatching(/are immutable.*--as-authority signs with it/),
    })
    expect(await tagsOf('team/app')).toEqual(['v1'])
    await remove('team/app:v1', { asAuthority: true })
    expect(await tagsOf('team/app')).toEqual([])
  })

  it('comes from a node that refuses every deletion', async () => {
    await using strict = await openOperatedNode(['--no-delete'])
    await strict.push('team/app', '1', makeImage({ seed: 'rm', layerBytes: [10] }))
    const params = { image: 'team/app:1', whole: false, dryRun: false, asAuthority: true }
    await expect(strict.perform('remove', params)).rejects.toMatchObject({ code: 'DELETION_OFF' })
  })
})
