/** Signatures of mirrored images: listed for a member by another, and kept with the image when all others are gone. */
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { mediaTypes } from '../../src/oci/oci.ts'
import { until } from '../swarm/fixture.ts'
import { openFakeUpstream } from '../upstream/fake-upstream.ts'
import { openClient } from './client.ts'
import { run } from './process.ts'
import { openRegistry } from './registry.ts'
import { requires } from './requirement.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')
const there = 'team/app'
const name = `up.test/${there}`

describe('the signature of a mirrored image', requires('shoal'), () => {
  test('is listed through another member, and kept with the image', async () => {
    await using upstream = await openFakeUpstream()
    const blob = (text: string, mediaType: string) => {
      const bytes = Buffer.from(text)
      return { mediaType, digest: upstream.putBlob(there, bytes), size: bytes.length }
    }
    const config = blob('{}', 'application/vnd.oci.image.config.v1+json')
    const layer = blob('a layer', 'application/vnd.oci.image.layer.v1.tar')
    const payload = blob('a signature', 'application/vnd.test.payload')
    const common = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config }
    const image = upstream.putManifest(there, { ...common, layers: [layer] }, '1')
    const subject = { mediaType: mediaTypes.ociManifest, digest: image.digest, size: image.bytes.length }
    const signature = upstream.putManifest(there, { ...common, layers: [payload], subject })
    // It has no referrers API, as most registries.
    const tag = image.digest.replace(':', '-')
    const listed = { ...subject, digest: signature.digest, size: signature.bytes.length }
    const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [listed] }
    upstream.putManifest(there, index, tag)

    await using first = await openRegistry({
      flags: ['--upstream', `up.test=${upstream.url.origin}`, '--mirror-ttl', '1s'],
    })
    const command = async (data: string, ...args: string[]) =>
      (await run(shoal, [...args, '--data', data])).stdout
    const token = (await command(first.data, 'token')).trim()
    await using second = await openRegistry({ flags: ['--join', token, '--mirror-ttl', '1s'] })
    using client = openClient(second.port)
    const referrers = async () => {
      const { status, headers, body } = await client.ask('GET', `/v2/${name}/referrers/${image.digest}`)
      expect([status, headers['content-type']]).toEqual([200, mediaTypes.ociIndex])
      const { manifests } = JSON.parse(body.toString()) as { manifests: { digest: string }[] }
      return { digests: manifests.map(({ digest }) => digest), warning: headers.warning }
    }
    // Until the other says which upstreams it reaches, the name is one of the cluster's own.
    await until('the signature to be listed', async () => (await referrers()).digests.length > 0)
    expect(await referrers()).toEqual({ digests: [signature.digest], warning: undefined })

    await command(second.data, 'keep', 'add', name)
    await client.ask('GET', `/v2/${name}/manifests/1`)
    await until('the image to be kept', async () => {
      const [rule] = JSON.parse(await command(second.data, 'keep', 'ls', '--json'))
      // The tag beside the image, which lists its signature, is one of the repository's as well.
      return rule.images === 2 && rule.complete === 2
    })
    await first.kill()
    for (const target of [
      `manifests/${image.digest}`,
      `manifests/${signature.digest}`,
      ...[config, layer, payload].map(({ digest }) => `blobs/${digest}`),
    ])
      expect([target, (await client.ask('GET', `/v2/${name}/${target}`)).status]).toEqual([target, 200])
    await until('the list to be stale', async () => (await referrers()).warning !== undefined)
    expect((await referrers()).digests).toEqual([signature.digest])
  })
})
