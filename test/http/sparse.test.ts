/** Manifests that refer to what is not here: which are taken, what a pull of what is missing is told, and what comes later. */
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { digestBytes, mediaTypes, parseRepository } from '../../src/oci/oci.ts'
import type { Sparse } from '../../src/registry/registry.ts'
import { type Api, codesOf, openApi } from './harness.ts'

const repository = parseRepository('team/app')

const descriptor = (bytes: Buffer, mediaType: string) => ({
  mediaType,
  digest: digestBytes(bytes),
  size: bytes.length,
})

/** An image of another platform, and an index of it and of one that is here. */
async function makeIndex(api: Api) {
  const here = await api.pushImage('team/app', 'here')
  const config = Buffer.from('{"os":"linux"}')
  const layer = randomBytes(100)
  const image = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: descriptor(config, 'application/vnd.oci.image.config.v1+json'),
      layers: [descriptor(layer, 'application/vnd.oci.image.layer.v1.tar')],
    }),
  )
  const manifests = [
    descriptor(here.bytes, mediaTypes.ociManifest),
    descriptor(image, mediaTypes.ociManifest),
  ]
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }))
  return { config, layer, image, index, missing: digestBytes(image) }
}

const put = (api: Api, reference: string, body: Buffer, type: string) =>
  api.call('PUT', `/v2/team/app/manifests/${reference}`, { body, headers: { 'Content-Type': type } })

describe('a node', () => {
  it.each<[Sparse, number, number]>([
    ['none', 404, 404],
    ['indexes', 201, 404],
    ['all', 201, 201],
  ])(
    'with --sparse %s answers %d to an index without a child, %d to an image without a layer',
    async (sparse, forIndex, forImage) => {
      await using api = await openApi({ sparse })
      const { image, index } = await makeIndex(api)
      const answers = [
        await put(api, 'index', index, mediaTypes.ociIndex),
        await put(api, 'image', image, mediaTypes.ociManifest),
      ]
      expect(answers.map(({ status }) => status)).toEqual([forIndex, forImage])
      for (const answer of answers) {
        if (answer.status === 404) expect(codesOf(answer)).toEqual(['MANIFEST_BLOB_UNKNOWN'])
      }
    },
  )

  it('tells who pulls a missing child which index lists it, and gives it once it was pushed', async () => {
    await using api = await openApi()
    const { image, index, missing, config, layer } = await makeIndex(api)
    await put(api, 'multi', index, mediaTypes.ociIndex)
    const path = `/v2/team/app/manifests/${missing}`
    const unknown = await api.call('GET', path)
    expect([unknown.status, codesOf(unknown)]).toEqual([404, ['MANIFEST_UNKNOWN']])
    expect(unknown.body.toString()).toContain(`the index ${digestBytes(index)} (multi) lists it`)
    expect((await api.call('HEAD', path)).status).toBe(404)
    for (const blob of [config, layer]) await api.pushBlob('team/app', blob)
    expect((await put(api, missing, image, mediaTypes.ociManifest)).status).toBe(201)
    expect((await api.call('GET', path)).body.equals(image)).toBe(true)
    expect((await api.call('GET', '/v2/team/app/manifests/multi')).body.equals(index)).toBe(true)
  })

  it('takes no more than 256 that are missing', async () => {
    await using api = await openApi()
    const of = (count: number) => {
      const manifests = Array.from({ length: count }, () =>
        descriptor(randomBytes(9), mediaTypes.ociManifest),
      )
      return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }))
    }
    expect((await put(api, 'many', of(256), mediaTypes.ociIndex)).status).toBe(201)
    expect((await put(api, 'many', of(257), mediaTypes.ociIndex)).status).toBe(404)
  })

  it('says of an index whose children have all come by now that nothing was missing', async () => {
    await using api = await openApi()
    const { image, index, missing, config, layer } = await makeIndex(api)
    const absent = async () => (await api.names.findManifest(repository, digestBytes(index)))?.absent
    await put(api, 'multi', index, mediaTypes.ociIndex)
    expect(await absent()).toEqual([missing])
    for (const blob of [config, layer]) await api.pushBlob('team/app', blob)
    await put(api, missing, image, mediaTypes.ociManifest)
    await put(api, 'multi', index, mediaTypes.ociIndex)
    expect(await absent()).toBeUndefined()
  })
})
