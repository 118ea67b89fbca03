/** Artifacts that are no images, pushed and pulled as the tools that make them do; each sends what the tool sends. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Digest, digestBytes, mediaTypes } from '../../src/oci/oci.ts'
import { type Api, openApi } from './harness.ts'

let api: Api
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())

interface Part {
  mediaType: string
  bytes: Buffer
  annotations?: Record<string, string>
}

const descriptor = ({ bytes, ...rest }: Part) => ({ ...rest, digest: digestBytes(bytes), size: bytes.length })

async function push(repository: string, reference: string, type: string, parts: Part[], document: object) {
  for (const { bytes } of parts) await api.pushBlob(repository, bytes)
  const body = JSON.stringify({ schemaVersion: 2, mediaType: type, ...document })
  const path = `/v2/${repository}/manifests/${reference}`
  const put = await api.call('PUT', path, { body, headers: { 'Content-Type': type } })
  expect([put.status, put.body.toString()]).toEqual([201, ''])
  const got = await api.call('GET', path, { headers: { Accept: type } })
  expect([got.headers['content-type'], got.body.toString()]).toEqual([type, body])
  for (const { bytes } of parts) {
    const blob = await api.call('GET', `/v2/${repository}/blobs/${digestBytes(bytes)}`)
    expect(blob.body.equals(bytes)).toBe(true)
  }
  return got.headers['docker-content-digest'] as Digest
}

describe('an artifact', () => {
  it('of BuildKit’s cache is an index whose manifests are blobs, or an image of type cache', async () => {
    const layer: Part = {
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      bytes: randomBytes(64),
      annotations: {
        'buildkit/createdat': '2026-11-01T00:00:00Z',
        'containerd.io/uncompressed': digestBytes(randomBytes(1)),
      },
    }
    const config: Part = {
      mediaType: 'application/vnd.buildkit.cacheconfig.v0',
      bytes: Buffer.from('{"layers":[],"records":[]}'),
    }
    // `mode=max` before `image-manifest=true` was the default.
    await push('team/app', 'cache', mediaTypes.ociIndex, [layer, config], {
      manifests: [descriptor(layer), descriptor(config)],
    })
    const document = { config: descriptor(config), layers: [descriptor(layer)] }
    await push('team/app', 'cache', mediaTypes.ociManifest, [layer, config], document)
  })

  it.each([
    [
      'a Helm chart',
      'application/vnd.cncf.helm.config.v1+json',
      [
        'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
        'application/vnd.cncf.helm.chart.provenance.v1.prov',
      ],
    ],
    ['a Wasm component', 'application/vnd.wasm.config.v0+json', ['application/wasm']],
    [
      'a model of ModelPack',
      'application/vnd.cncf.model.config.v1+json',
      ['application/vnd.cncf.model.weight.v1.raw', 'application/vnd.cncf.model.doc.v1.tar'],
    ],
    [
      'a model of ollama',
      'application/vnd.docker.container.image.v1+json',
      ['application/vnd.ollama.image.model', 'application/vnd.ollama.image.params'],
    ],
    [
      'what Argo CD takes manifests from',
      'application/vnd.oci.empty.v1+json',
      ['application/vnd.oci.image.layer.v1.tar+gzip'],
    ],
    [
      'what Flux takes from a repository',
      'application/vnd.cncf.flux.config.v1+json',
      ['application/vnd.cncf.flux.content.v1.tar+gzip'],
    ],
  ])('that is %s comes back as it was', async (_, configType, layerTypes) => {
    const config: Part = { mediaType: configType, bytes: Buffer.from(`{"of":"${configType}"}`) }
    const layers = layerTypes.map((mediaType): Part => ({ mediaType, bytes: randomBytes(100) }))
    const isDocker = configType.includes('docker')
    await push(
      'team/artifact',
      '1.0',
      isDocker ? mediaTypes.dockerManifest : mediaTypes.ociManifest,
      [config, ...layers],
      {
        ...(isDocker ? {} : { artifactType: 'application/vnd.example' }),
        config: descriptor(config),
        layers: layers.map(descriptor),
      },
    )
  })
})

describe('ollama', () => {
  it('pushes a model in chunks to the path that it is told, and names its tag in a query that means nothing here', async () => {
    const model = randomBytes(300_000)
    const digest = digestBytes(model)
    const start = await api.call(
      'POST',
      `/v2/library/model/blobs/uploads/?mount=${digest}&from=library/other`,
    )
    expect(start.status).toBe(202)
    let location = start.headers.location ?? expect.fail('it goes on at a path')
    for (let at = 0; at < model.length; at += 100_000) {
      const part = model.subarray(at, at + 100_000)
      const headers = { 'Content-Range': `${at}-${at + part.length - 1}`, 'X-Redirect-Uploads': '1' }
      const patch = await api.call('PATCH', location, { body: part, headers })
      expect(patch.status).toBe(202)
      location = patch.headers.location ?? location
    }
    const end = new URL(location, 'http://localhost')
    end.searchParams.set('digest', digest)
    end.searchParams.set('etag', 'abc-3')
    expect((await api.call('PUT', end.pathname + end.search)).status).toBe(201)
    const got = await api.call('GET', `/v2/library/model/blobs/${digest}`)
    expect(got.body.equals(model)).toBe(true)
  })
})
