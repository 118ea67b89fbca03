/** An image of given layers, pushed to a node. */

import { digestBytes } from '../../../src/oci/oci.ts'
import type { NetworkHost } from '../../../test/netns/network.ts'
import type { Node } from '../cluster/nodes.ts'
import type { Content } from '../content.ts'
import { manifestType } from '../image.ts'
import { manifestPath, pushFile, repository } from './push.ts'

export const config = Buffer.from('{}')
export const configDigest = digestBytes(config, 'sha256')

export interface Image {
  readonly tag: string
  readonly manifest: Buffer
  readonly layers: readonly Content[]
}

export async function pushImage(
  { signal }: { signal: AbortSignal },
  { node, host }: { node: Node; host?: NetworkHost },
  tag: string,
  layers: readonly Content[],
  { ack, megabits }: { ack?: number; megabits?: number } = {},
): Promise<Image> {
  const rate = megabits === undefined ? {} : { megabits }
  const where = { url: node.url, signal, ...rate, ...(host === undefined ? {} : { host }) }
  for (const layer of layers) await pushFile(layer, where)
  const upload = `/v2/${repository}/blobs/uploads/?digest=${configDigest}`
  await node.expect(201, upload, { method: 'POST', body: config })
  const manifest = makeManifest(layers)
  const headers = {
    'content-type': manifestType,
    ...(ack === undefined ? {} : { 'shoal-ack': String(ack) }),
  }
  await node.expect(201, manifestPath(tag), { method: 'PUT', headers, body: manifest })
  return { tag, manifest, layers }
}

function makeManifest(layers: readonly Content[]): Buffer {
  const describe = (mediaType: string, digest: string, size: number) => ({ mediaType, digest, size })
  const layerType = 'application/vnd.oci.image.layer.v1.tar'
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    config: describe('application/vnd.oci.image.config.v1+json', configDigest, config.length),
    layers: layers.map(({ digest, size }) => describe(layerType, digest, size)),
  }
  return Buffer.from(JSON.stringify(manifest))
}
