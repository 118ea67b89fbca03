/** Manifests and tags in great numbers, through the registry of a node or straight into a stopped node's ledger. */
import { cp, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { openLocalNode } from '../../../node/local-node.ts'
import { readSettings } from '../../../node/settings/settings.ts'
import { silentLogger } from '../../../src/base/base.ts'
import { digestBytes, parseRepository, parseTag } from '../../../src/oci/oci.ts'
import { manifestType } from '../image.ts'
import type { Node } from './nodes.ts'

export interface Manifest {
  digest: string
  bytes: Buffer
}

const emptyConfig = Buffer.from('{}')
const tagsAtOnce = 64

export function makeManifest(seed: string): Manifest {
  const config = {
    mediaType: 'application/vnd.oci.empty.v1+json',
    digest: digestBytes(emptyConfig, 'sha256'),
    size: emptyConfig.length,
  }
  const manifest = { schemaVersion: 2, mediaType: manifestType, config, layers: [], annotations: { seed } }
  const bytes = Buffer.from(JSON.stringify(manifest))
  return { digest: digestBytes(bytes, 'sha256'), bytes }
}

/** So that manifests of that repository are accepted. */
export async function pushConfig(node: Node, repository: string): Promise<void> {
  const digest = digestBytes(emptyConfig, 'sha256')
  const where = `/v2/${repository}/blobs/uploads/?digest=${digest}`
  await node.expect(201, where, { method: 'POST', body: emptyConfig })
}

export async function putManifest(
  node: Node,
  repository: string,
  reference: string,
  { bytes }: Manifest,
): Promise<void> {
  const headers = { 'content-type': manifestType }
  await node.expect(201, `/v2/${repository}/manifests/${reference}`, { method: 'PUT', headers, body: bytes })
}

/** Points all of the tags to the manifest. */
export async function putTags(
  node: Node,
  repository: string,
  tags: string[],
  manifest: Manifest,
): Promise<void> {
  for (let from = 0; from < tags.length; from += tagsAtOnce) {
    const query = tags.slice(from, from + tagsAtOnce).map((tag) => `tag=${tag}`)
    await putManifest(node, repository, `${manifest.digest}?${query.join('&')}`, manifest)
  }
}

export function tagNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `tag-${String(index).padStart(6, '0')}`)
}

/** Makes the data directory of a node that is the first of a cluster and knows so many tags of `repository`. */
export async function seedNode(folder: string, repository: string, tags: string[]): Promise<void> {
  const { settings } = readSettings(['--data', path.join(folder, 'data')], {})
  await using node = await openLocalNode({ settings, logger: silentLogger, create: true })
  const { bytes } = makeManifest('seeded')
  const name = parseRepository(repository)
  const value = { digest: digestBytes(bytes, 'sha256'), mediaType: manifestType, size: bytes.length }
  const { size, mediaType } = value
  await node.names.publish([
    { kind: 'manifest', repository: name, digest: value.digest, value: { size, mediaType } },
  ])
  for (let from = 0; from < tags.length; from += 1000) {
    const some = tags.slice(from, from + 1000).map(parseTag)
    await node.names.publish(some.map((tag) => ({ kind: 'tag' as const, repository: name, tag, value })))
  }
}

/** Makes a member out of a stopped node's data: the same cluster and records, another identity. */
export async function copyMember(from: string, to: string): Promise<void> {
  await mkdir(path.join(to, 'data'), { recursive: true })
  for (const part of ['db', 'cluster']) {
    await cp(path.join(from, 'data', part), path.join(to, 'data', part), { recursive: true })
  }
}
