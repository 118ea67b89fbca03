import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { renderImage } from '../../../node/screen/image-screen.ts'
import { content, jsonContent, makeImage, makeIndex } from '../../e2e/image.ts'
import { type OperatedNode, openOperatedNode } from './fixture.ts'

const inspect = (operated: OperatedNode, image: string) =>
  operated.perform('inspect', { image, holders: false })

describe('inspecting an image', () => {
  let operated: OperatedNode
  beforeEach(async () => {
    operated = await openOperatedNode()
  })
  afterEach(async () => await operated[Symbol.asyncDispose]())

  it('tells who tagged it, its platform, its config and how each layer was made', async () => {
    const image = makeImage({ seed: 'inspect', layerBytes: [1000, 2000], architecture: 'arm64' })
    await operated.push('team/app', '1', image)
    await operated.pushManifest('team/app', 'also', image.manifest)
    const { peerId } = operated.node.membership.identity
    const details = await inspect(operated, 'localhost:5000/team/app:1')
    expect(details).toMatchObject({
      repository: 'team/app',
      digest: image.manifest.descriptor.digest,
      kind: 'image',
      tag: { name: '1', author: peerId },
      manifest: { author: peerId },
      tags: ['1', 'also'],
      omittedPlatforms: 0,
      referrers: [],
      platforms: [
        {
          platform: 'linux/arm64',
          content: {
            config: { digest: image.config.descriptor.digest, isHere: true },
            layers: [
              { digest: image.layers[0]?.descriptor.digest, isHere: true, createdBy: 'layer 0' },
              { digest: image.layers[1]?.descriptor.digest, isHere: true, createdBy: 'layer 1' },
            ],
            image: { entrypoint: ['/hello'], created: '1970-01-01T00:00:00Z' },
          },
        },
      ],
    })
    const all = [image.manifest, image.config, ...image.layers]
    expect(details.totalBytes).toBe(all.reduce((sum, { bytes }) => sum + bytes.length, 0))
  })

  it('says that it cannot tell the platform while the config is elsewhere', async () => {
    await operated.push('team/app', '1', makeImage({ seed: 'elsewhere', layerBytes: [1000] }))
    await operated.perform('evict', { images: ['team/app:1'], force: true })
    const shown = renderImage(await inspect(operated, 'team/app:1'), { call: (peer) => peer })
    expect(shown).toMatch(/^Platform +not known, as the config is not here$/m)
    expect(shown).toMatch(/^Tagged +\d{4}-\d\d-\d\d [\d:]{8} UTC by /m)
  })

  it('tells the platforms of an index', async () => {
    await operated.push('team/app', 'latest', makeIndex('inspect'))
    const { kind, platforms } = await inspect(operated, 'team/app')
    expect(kind).toBe('index')
    expect(platforms.map(({ platform, content }) => [platform, content?.layers.length])).toEqual([
      ['linux/amd64', 2],
      ['linux/arm64', 2],
    ])
  })

  it('shows the names of environment variables and never their values', async () => {
    const config = jsonContent('application/vnd.oci.image.config.v1+json', {
      os: 'linux',
      architecture: 'amd64',
      config: { Env: ['PATH=/bin', 'TOKEN=secret', 'EMPTY'] },
    })
    const manifest = jsonContent('application/vnd.oci.image.manifest.v1+json', {
      schemaVersion: 2,
      config: config.descriptor,
      layers: [],
    })
    await operated.pushBlob('team/app', config)
    await operated.pushManifest('team/app', '1', manifest)
    const details = await inspect(operated, 'team/app:1')
    expect(details.platforms[0]?.content?.image?.environment).toEqual(['PATH', 'TOKEN', 'EMPTY'])
    expect(JSON.stringify(details)).not.toContain('secret')
  })

  it('lists what refers to it', async () => {
    const image = makeImage({ seed: 'inspect', layerBytes: [10] })
    await operated.push('team/app', '1', image)
    const empty = content('application/vnd.oci.empty.v1+json', Buffer.from('{}'))
    const signature = jsonContent('application/vnd.oci.image.manifest.v1+json', {
      schemaVersion: 2,
      artifactType: 'application/vnd.example.signature',
      config: empty.descriptor,
      layers: [empty.descriptor],
      subject: image.manifest.descriptor,
    })
    await operated.pushBlob('team/app', empty)
    await operated.pushManifest('team/app', signature.descriptor.digest, signature)
    const { referrers } = await inspect(operated, 'team/app:1')
    expect(referrers).toMatchObject([{ artifactType: 'application/vnd.example.signature' }])
    const shown = await inspect(operated, `team/app@${signature.descriptor.digest}`)
    expect(shown.platforms[0]?.content).toMatchObject({ artifactType: 'application/vnd.example.signature' })
  })

  it('lists a platform whose manifest nobody can give', async () => {
    const index = makeIndex('inspect')
    await operated.push('team/app', '1', index)
    const missing = index.images[0]?.manifest.descriptor.digest
    const { manifests } = operated.node.store
    const get = manifests.get.bind(manifests)
    vi.spyOn(manifests, 'get').mockImplementation(async (digest) =>
      digest === missing ? undefined : await get(digest),
    )
    const { platforms } = await inspect(operated, 'team/app:1')
    expect(platforms.map(({ platform, content }) => [platform, content?.layers.length])).toEqual([
      ['linux/amd64', undefined],
      ['linux/arm64', 2],
    ])
  })

  it('refuses what there is not', async () => {
    await expect(inspect(operated, 'team/app:1')).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
    await expect(inspect(operated, 'Team')).rejects.toMatchObject({ code: 'NAME_INVALID' })
  })
})
