/** A member claims an upstream under whose name the cluster has repositories of its own; nobody else has it, and no rule says who may. */
import { describe, expect, it } from 'vitest'
import { digestBytes, mediaTypes, parseRepository, parseTag, type Repository } from '../../src/oci/oci.ts'
import { type MirrorNode, openCluster } from './cluster.ts'
import { FakeUpstream } from './fake-upstream.ts'

const repository = parseRepository('acme.io/team/app')
const [one, two] = [parseTag('1'), parseTag('2')]

/** The first claims acme.io, which has an image of that name, too. */
async function openClaimed(opened: AsyncDisposableStack) {
  const upstream = new FakeUpstream('acme.io')
  const mirrored = upstream.push('team/other', '1', 'of the upstream')
  const cluster = await openCluster(opened, { size: 3, upstreams: (i) => (i === 0 ? [upstream] : []) })
  return { upstream, mirrored, cluster, node: cluster.node(1), far: cluster.node(2) }
}

async function push({ registry: { push } }: MirrorNode, name: Repository, tag = one, extra: object = {}) {
  const config = Buffer.from('{}')
  const started = await push.startUpload(name)
  if (!('upload' in started)) throw new Error('it was mounted')
  const { id } = started.upload
  await push.appendUpload(name, id, ReadableStream.from([config]))
  const digest = digestBytes(config)
  await push.finishUpload(name, id, digest)
  const document = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 2 },
    layers: [],
    ...extra,
  }
  return await push.putManifest(
    name,
    { tag },
    { bytes: Buffer.from(JSON.stringify(document)), contentType: undefined },
  )
}

describe('a name under what a member claims to mirror', () => {
  it('can be pushed to, and is pulled as it was pushed', async () => {
    await using opened = new AsyncDisposableStack()
    const { node, upstream, cluster } = await openClaimed(opened)
    const named = node.registry.naming.forPush({ repository })
    expect(named).toEqual({ repository, isGuess: false })
    const { digest } = await push(node, repository)
    upstream.push('team/app', '1', 'another')
    await cluster.gossip()
    for (const anyone of [node, cluster.node(2)]) {
      expect(await anyone.registry.pull.getManifest(repository, { tag: one })).toMatchObject({ digest })
    }
    expect(upstream.asked).toEqual([])
  })

  it('is answered by the cluster alone while it is pushed to, and after that', async () => {
    await using opened = new AsyncDisposableStack()
    const { node, far, upstream, cluster } = await openClaimed(opened)
    upstream.weather = 'cut'
    await node.registry.push.startUpload(repository)
    const unknown = { code: 'MANIFEST_UNKNOWN' }
    await expect(node.registry.pull.statManifest(repository, { tag: one })).rejects.toMatchObject(unknown)
    await push(node, repository)
    await cluster.gossip()
    await expect(far.registry.pull.getManifest(repository, { tag: two })).rejects.toMatchObject(unknown)
    expect(upstream.asked).toEqual([])
  })

  it('has the referrers that were pushed to it, whatever the member lists', async () => {
    await using opened = new AsyncDisposableStack()
    const { node, upstream, cluster } = await openClaimed(opened)
    const { digest } = await push(node, repository)
    const subject = { mediaType: mediaTypes.ociManifest, digest, size: 3 }
    const note = await push(node, repository, two, { subject, artifactType: 'a/note' })
    await cluster.gossip()
    for (const anyone of [node, cluster.node(2)]) {
      const { items } = await anyone.registry.listing.listReferrers(repository, digest, {})
      expect(items.map((item) => item.digest)).toEqual([note.digest])
    }
    expect(upstream.asked).toEqual([])
  })

  it('is found where it was pushed, before the member is believed that there is no such thing', async () => {
    await using opened = new AsyncDisposableStack()
    const { node, far } = await openClaimed(opened)
    const { digest } = await push(node, repository)
    expect(await far.registry.pull.getManifest(repository, { tag: one })).toMatchObject({ digest })
  })

  it('is read through that member where nothing was pushed to it', async () => {
    await using opened = new AsyncDisposableStack()
    const { node, mirrored, upstream, cluster } = await openClaimed(opened)
    await push(node, repository)
    await cluster.gossip()
    const other = parseRepository('acme.io/team/other')
    expect(await node.registry.pull.getManifest(other, { tag: one })).toMatchObject({ digest: mirrored })
    expect(upstream.asked).toEqual(['GET team/other:1'])
  })

  it('is not looked for outside because a push asks for a layer', async () => {
    await using opened = new AsyncDisposableStack()
    const { node, mirrored } = await openClaimed(opened)
    const other = parseRepository('acme.io/team/other')
    const stat = (name: Repository) => node.registry.pull.statBlob(name, mirrored).catch(() => undefined)
    await stat(repository)
    await push(node, repository)
    await stat(repository)
    expect(node.blobsSought).toEqual(['cluster', 'cluster'])
    await node.registry.pull.getManifest(other, { tag: one })
    await stat(other)
    expect(node.blobsSought).toEqual(['cluster', 'cluster', 'anywhere'])
  })

  it('is not rewritten as docker.io rewrites names of one word, where it was pushed so', async () => {
    await using opened = new AsyncDisposableStack()
    const hub = new FakeUpstream()
    hub.push('library/alpine', '1', 'official')
    const official = hub.push('library/busybox', '1', 'official')
    const cluster = await openCluster(opened, { size: 2, upstreams: (i) => (i === 0 ? [hub] : []) })
    const { registry } = cluster.node(1)
    const asked = { repository: parseRepository('docker.io/alpine') }
    const pushed = registry.naming.forPush(asked)
    expect(pushed.repository).toBe('docker.io/alpine')
    const reference = { tag: one }
    expect((await registry.naming.forRead(asked, reference)).repository).toBe('docker.io/library/alpine')
    await push(cluster.node(1), pushed.repository)
    expect((await registry.naming.forRead(asked, reference)).repository).toBe('docker.io/alpine')
    expect((await registry.naming.forDelete(asked)).repository).toBe('docker.io/alpine')
    const other = await registry.naming.forRead(
      { repository: parseRepository('docker.io/busybox') },
      reference,
    )
    expect(other).toEqual({ repository: 'docker.io/library/busybox', isGuess: false })
    expect(await registry.pull.getManifest(other.repository, reference)).toMatchObject({ digest: official })
  })
})
