import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeImage, makeIndex } from '../../e2e/image.ts'
import { type OperatedNode, openOperatedNode } from './fixture.ts'

describe('tagging an image', () => {
  let operated: OperatedNode
  beforeEach(async () => {
    operated = await openOperatedNode()
  })
  afterEach(async () => await operated[Symbol.asyncDispose]())

  const tag = (source: string, target: string, asAuthority = false) =>
    operated.perform('tag', { source, target, asAuthority })

  it('moves a tag in its repository, and says what it was', async () => {
    const [one, two] = [
      makeImage({ seed: 'one', layerBytes: [10] }),
      makeImage({ seed: 'two', layerBytes: [10] }),
    ]
    await operated.push('team/app', '1', one)
    await operated.push('team/app', '2', two)
    const [first, second] = [one, two].map(({ manifest }) => manifest.descriptor.digest)
    expect(await tag('team/app:1', 'team/app:stable')).toEqual({
      repository: 'team/app',
      tag: 'stable',
      digest: first,
    })
    expect(await tag(`team/app@${second}`, 'team/app:stable')).toMatchObject({
      digest: second,
      before: first,
    })
    expect(await tag('team/app:2', 'team/app')).toMatchObject({ tag: 'latest', digest: second })
  })

  it('lets another repository have an index with everything in it', async () => {
    const index = makeIndex('tag')
    await operated.push('team/app', '1', index)
    await tag('team/app:1', 'prod/app:1')
    await operated.perform('remove', { image: 'team/app', whole: true, dryRun: false, asAuthority: false })
    await operated.perform('gc', { dryRun: false, graceMs: 0 })
    const { digest, platforms } = await operated.perform('inspect', { image: 'prod/app:1', holders: false })
    expect(digest).toBe(index.manifest.descriptor.digest)
    expect(platforms.map(({ content }) => content?.layers.every(({ isHere }) => isHere))).toEqual([
      true,
      true,
    ])
  })

  it('names nothing by halves: an image that lacks a layer is not tagged elsewhere', async () => {
    const image = makeImage({ seed: 'tag', layerBytes: [10, 20] })
    await operated.push('team/app', '1', image)
    const lost = image.layers[1]?.descriptor.digest
    await operated.node.store.links.remove('team/app' as never, lost as never)
    await expect(tag('team/app:1', 'prod/app:1')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect((await operated.perform('ls', { repository: 'prod/app' })).rows).toEqual([])
  })

  it('refuses a digest as a name, what there is not, and what the policy forbids', async () => {
    const image = makeImage({ seed: 'tag', layerBytes: [10] })
    const { digest } = image.manifest.descriptor
    await operated.push('team/app', 'v1', image)
    await expect(tag('team/app:v1', `team/app@${digest}`)).rejects.toMatchObject({ code: 'TAG_TARGET' })
    await expect(tag('team/app:none', 'team/app:2')).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
    await operated.push('team/app', '2', makeImage({ seed: 'other', layerBytes: [10] }))
    const policy = { immutable: [{ repositories: '**', tags: 'v*' }] }
    await operated.perform('policy-set', { policy })
    await expect(tag('team/app:2', 'team/app:v1')).rejects.toMatchObject({ code: 'NOT_PERMITTED' })
    expect(await tag('team/app:2', 'team/app:v1', true)).toMatchObject({ before: digest })
  })
})
