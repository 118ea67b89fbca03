import { describe, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { type MirrorNode, openCluster } from './cluster.ts'
import { FakeUpstream } from './fake-upstream.ts'

const repository = parseRepository('docker.io/library/alpine')
const tag = parseTag('3')
const get = ({ registry }: MirrorNode) => registry.pull.getManifest(repository, { tag })
const stat = ({ registry }: MirrorNode) => registry.pull.statManifest(repository, { tag })
const minuteMs = 60_000

/** A cluster of six that reaches one upstream with one image. */
async function openSix(opened: AsyncDisposableStack) {
  const upstream = new FakeUpstream()
  const digest = upstream.push('library/alpine', '3', 'first')
  const cluster = await openCluster(opened, { size: 6, upstreams: [upstream] })
  return { upstream, digest, cluster, nodes: cluster.nodes }
}

const digestsOf = async (answers: Promise<{ digest: string }>[]) =>
  (await Promise.all(answers)).map(({ digest }) => digest)

describe('a mirrored tag', () => {
  it('is fetched once for a cluster that asks for fifty of them at once, and not again while they are fresh', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream()
    const { nodes } = await openCluster(opened, { size: 6, upstreams: [upstream] })
    const tags = Array.from({ length: 50 }, (_, index) => parseTag(`t${index}`))
    const digests = tags.map((name) => upstream.push('library/alpine', name, name))
    const pullAll = () =>
      Promise.all(
        nodes.map(({ registry }) =>
          digestsOf(tags.map((name) => registry.pull.getManifest(repository, { tag: name }))),
        ),
      )
    for (let round = 0; round < 2; round++) {
      for (const pulled of await pullAll()) expect(pulled).toEqual(digests)
    }
    expect(upstream.asked.toSorted()).toEqual(tags.map((name) => `GET library/alpine:${name}`).toSorted())
  })

  it('is checked by one HEAD for all once it is no longer fresh, and says when', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, digest, cluster, nodes } = await openSix(opened)
    await Promise.all(nodes.map(get))
    await cluster.gossip()
    cluster.clock.advance(5 * minuteMs)
    upstream.asked.length = 0
    expect(await digestsOf(nodes.map(get))).toEqual(nodes.map(() => digest))
    expect(upstream.asked).toEqual(['HEAD library/alpine:3'])
    await cluster.gossip()
    for (const { names } of nodes) {
      expect(await names.findTag(repository, tag)).toMatchObject({ digest, checkedMs: cluster.clock.now() })
    }
    expect(await digestsOf(nodes.map(get))).toEqual(nodes.map(() => digest))
    expect(upstream.asked).toHaveLength(1)
  })

  it('that its upstream does not have is not known to be nobody’s while members that may have it are silent', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream()
    let isSilent = true
    const options = { size: 2, upstreams: [upstream], isSilent: () => isSilent }
    const { node, clock } = await openCluster(opened, options)
    for (let turn = 0; turn < 2; turn++) {
      await expect(get(node(0))).rejects.toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: 1_000 })
      clock.advance(1_000)
    }
    // The upstream has said so.
    expect(upstream.asked).toHaveLength(1)
    isSilent = false
    await expect(get(node(0))).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
  })

  it('counts as the upstream’s for the request that brought it, and as this node’s from then on', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream()
    const digest = upstream.push('library/alpine', '3', 'first')
    const { nodes, clock } = await openCluster(opened, { size: 1, upstreams: [upstream] })
    const [node] = nodes
    if (node === undefined) throw new Error('one was opened')
    expect(await get(node)).toMatchObject({ digest, giver: 'upstream' })
    clock.advance(1)
    expect(await get(node)).not.toHaveProperty('giver')
    clock.advance(5 * minuteMs)
    expect(await get(node)).not.toHaveProperty('giver')
    expect(await node.registry.pull.getManifest(repository, { digest })).not.toHaveProperty('giver')
  })

  it('follows its upstream once it is no longer fresh, and by one GET', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, cluster, nodes } = await openSix(opened)
    await Promise.all(nodes.map(get))
    upstream.asked.length = 0
    const moved = upstream.push('library/alpine', '3', 'second')
    cluster.clock.advance(5 * minuteMs)
    expect(await digestsOf(nodes.map(get))).toEqual(nodes.map(() => moved))
    expect(upstream.asked).toEqual(['HEAD library/alpine:3', 'GET library/alpine:3'])
  })

  it('is what its bytes hash to when it moves between being checked and being fetched', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, cluster, nodes } = await openSix(opened)
    await Promise.all(nodes.map(get))
    upstream.push('library/alpine', '3', 'second')
    let third = ''
    upstream.onAsked = (request) => {
      if (request.startsWith('GET')) third = upstream.push('library/alpine', '3', 'third')
    }
    cluster.clock.advance(5 * minuteMs)
    expect(await digestsOf(nodes.map(get))).toEqual(nodes.map(() => third))
  })

  it('moves back to what it was without a fetch', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, digest, cluster } = await openSix(opened)
    const node = cluster.node(0)
    await get(node)
    upstream.push('library/alpine', '3', 'second')
    cluster.clock.advance(5 * minuteMs)
    await get(node)
    await cluster.gossip()
    upstream.push('library/alpine', '3', 'first')
    cluster.clock.advance(5 * minuteMs)
    upstream.asked.length = 0
    expect((await get(node)).digest).toBe(digest)
    expect(upstream.asked).toEqual(['HEAD library/alpine:3'])
  })

  it('asks each time where nothing is to be fresh, but writes no record for that', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream()
    upstream.push('library/alpine', '3', 'first')
    const cluster = await openCluster(opened, { upstreams: [upstream], ttlMs: 0 })
    const node = cluster.node(0)
    await get(node)
    const first = await node.names.findTag(repository, tag)
    for (let i = 0; i < 3; i++) {
      cluster.clock.advance(1_000)
      await get(node)
    }
    expect(upstream.asked).toEqual(['GET library/alpine:3', ...Array(3).fill('HEAD library/alpine:3')])
    expect(await node.names.findTag(repository, tag)).toEqual(first)
    cluster.clock.advance(minuteMs)
    await get(node)
    expect(await node.names.findTag(repository, tag)).toMatchObject({ checkedMs: cluster.clock.now() })
  })

  it('that the upstream does not have is asked for once in half a minute', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, cluster, nodes } = await openSix(opened)
    upstream.remove('library/alpine', '3')
    const all = () => Promise.allSettled(nodes.map(get))
    for (let round = 0; round < 2; round++) {
      for (const outcome of await all())
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'MANIFEST_UNKNOWN' } })
    }
    expect(upstream.asked).toEqual(['GET library/alpine:3'])
    const digest = upstream.push('library/alpine', '3', 'first')
    cluster.clock.advance(30_000)
    expect(await digestsOf(nodes.map(get))).toEqual(nodes.map(() => digest))
  })

  it('that the upstream has deleted is gone, and not served in place of an answer', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, cluster, nodes } = await openSix(opened)
    await Promise.all(nodes.map(get))
    upstream.remove('library/alpine', '3')
    cluster.clock.advance(5 * minuteMs)
    for (const node of nodes) await expect(get(node)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
    expect(upstream.asked.filter((request) => request.startsWith('HEAD'))).toHaveLength(1)
  })

  it('is checked in spite of a record that says it will be checked tomorrow', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, digest, cluster } = await openSix(opened)
    const node = cluster.node(0)
    const { mediaType } = await get(node)
    const checkedMs = cluster.clock.now() + 24 * 60 * minuteMs
    await node.names.publish([
      { kind: 'tag', repository, tag, value: { digest, mediaType, size: 3, checkedMs } },
    ])
    cluster.clock.advance(5 * minuteMs)
    upstream.asked.length = 0
    for (let i = 0; i < 2; i++) expect((await get(node)).digest).toBe(digest)
    expect(upstream.asked).toEqual(['HEAD library/alpine:3'])
    await cluster.gossip()
    expect(await node.names.findTag(repository, tag)).toMatchObject({ checkedMs: cluster.clock.now() })
  })

  it('is told by HEAD without its image being fetched', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, digest, cluster } = await openSix(opened)
    expect(await stat(cluster.node(0))).toMatchObject({ digest })
    expect(await stat(cluster.node(1))).toMatchObject({ digest })
    expect(upstream.asked).toEqual(['GET library/alpine:3'])
  })

  it('that was pushed to the cluster is the cluster’s own, and nobody is asked for it', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, cluster } = await openSix(opened)
    const node = cluster.node(0)
    const digest = upstream.push('library/alpine', 'other', 'own')
    const manifest = await upstream.getManifest(parseRepository('library/alpine'), { digest })
    if (manifest === undefined) throw new Error('it was just pushed')
    const value = { digest, mediaType: manifest.mediaType, size: manifest.bytes.length }
    await node.store.manifests.put({
      repository,
      digest,
      bytes: manifest.bytes,
      references: [],
      required: [],
    })
    await node.names.publish([
      { kind: 'manifest', repository, digest, value },
      { kind: 'tag', repository, tag, value },
    ])
    upstream.asked.length = 0
    expect((await get(node)).digest).toBe(digest)
    cluster.clock.advance(60 * minuteMs)
    expect((await get(node)).digest).toBe(digest)
    expect(upstream.asked).toEqual([])
  })

  it('is fetched anew after it was deleted here', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, digest, cluster } = await openSix(opened)
    const node = cluster.node(0)
    await get(node)
    await node.registry.deletion.deleteManifest(repository, { tag })
    await cluster.gossip()
    expect(await node.names.findTag(repository, tag)).toBeUndefined()
    expect((await get(node)).digest).toBe(digest)
    expect(upstream.asked).toHaveLength(2)
  })
})

describe('the member that asks', () => {
  it('is another for each name, and one of those that reach the upstream', async () => {
    await using opened = new AsyncDisposableStack()
    const reached = Array.from({ length: 4 }, () => new FakeUpstream())
    for (const upstream of reached)
      for (let i = 0; i < 32; i++) upstream.push('library/alpine', `t${i}`, `${i}`)
    const { node } = await openCluster(opened, {
      size: 4,
      upstreams: (index) => reached.slice(index, index + 1).filter(() => index > 0),
    })
    for (let i = 0; i < 32; i++) {
      await node(i % 4).registry.pull.getManifest(repository, { tag: parseTag(`t${i}`) })
    }
    const counts = reached.map(({ asked }) => asked.length)
    expect(counts[0]).toBe(0)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(32)
    for (const count of counts.slice(1)) expect(count).toBeGreaterThan(2)
  })

  it('is the next in rank when the first is gone, or cannot reach it', async () => {
    await using opened = new AsyncDisposableStack()
    const reached = Array.from({ length: 3 }, () => new FakeUpstream())
    const digest = reached.map((upstream) => upstream.push('library/alpine', '3', 'first'))[0]
    const cluster = await openCluster(opened, {
      size: 4,
      upstreams: (index) => reached.slice(index, index + 1),
    })
    const asker = cluster.node(3)
    await get(asker)
    const firstIndex = reached.findIndex(({ asked }) => asked.length > 0)
    const [second, third] = reached.filter((_, index) => index !== firstIndex)
    if (second === undefined || third === undefined) throw new Error('three upstreams')
    cluster.node(firstIndex).isUp = false
    second.weather = 'cut'
    cluster.clock.advance(5 * minuteMs)
    const answer = await get(asker)
    expect(answer).toMatchObject({ digest })
    expect(answer.stale).toBeUndefined()
    expect(third.asked).toEqual(['GET library/alpine:3'])
  })
})

describe('members that ask for more than an upstream can be asked at once', () => {
  it('are told so, and keep this node’s own clients from nothing', async () => {
    await using opened = new AsyncDisposableStack()
    const upstream = new FakeUpstream()
    const digest = upstream.push('library/alpine', '3', 'first')
    const { mirror, registry } = (await openCluster(opened, { upstreams: [upstream] })).node(0)
    const { signal } = new AbortController()
    const ask = (name: string) =>
      mirror.answer({ about: 'tag', repository, tag: parseTag(name), maxAgeMs: minuteMs }, { signal })
    upstream.weather = 'silent'
    const leaving = new AbortController()
    for (let number = 0; number < 256; number++) {
      const question = { about: 'tag', repository, tag: parseTag(`t${number}`), maxAgeMs: minuteMs } as const
      mirror.answer(question, leaving).catch(() => undefined)
    }
    await expect.poll(() => upstream.asked.length).toBe(256)
    // Who leaves has had it asked all the same.
    leaving.abort(new Error('they have left'))
    upstream.weather = 'fine'
    expect(await ask('other')).toMatchObject({ answer: 'failed', trouble: 'unable' })
    expect(await registry.pull.getManifest(repository, { tag })).toMatchObject({ digest })
  })
})

describe('a manifest by its digest', () => {
  it('is fetched once for the cluster and listed with its subject on every member', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, digest, cluster, nodes } = await openSix(opened)
    await Promise.all(nodes.map(get))
    const subject = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: 3 }
    const note = upstream.push('library/alpine', 'note', 'a note', { subject, artifactType: 'a/note' })
    upstream.asked.length = 0
    const pulled = nodes.map(({ registry }) => registry.pull.getManifest(repository, { digest: note }))
    expect(await digestsOf(pulled)).toEqual(nodes.map(() => note))
    expect(upstream.asked).toEqual([`GET library/alpine@${note}`])
    await cluster.gossip()
    for (const { registry } of nodes) {
      const { items } = await registry.listing.listReferrers(repository, digest, {})
      expect(items).toMatchObject([{ digest: note, artifactType: 'a/note' }])
      expect(await registry.listing.listTags(repository, {})).toEqual({ items: ['3'] })
    }
  })

  it('comes again when those who held it are gone', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, digest, cluster, nodes } = await openSix(opened)
    await get(cluster.node(0))
    await cluster.gossip()
    for (const node of nodes) {
      if ((await node.store.manifests.get(digest)) !== undefined) node.isUp = false
    }
    const left = nodes.find(({ isUp }) => isUp)
    if (left === undefined) throw new Error('six nodes, and at most two hold it')
    upstream.asked.length = 0
    expect((await get(left)).digest).toBe(digest)
    expect(upstream.asked).toEqual([`GET library/alpine@${digest}`])
  })

  it('that the upstream does not have is unknown, and asked for once', async () => {
    await using opened = new AsyncDisposableStack()
    const { upstream, nodes } = await openSix(opened)
    const digest = new FakeUpstream().push('x', 'x', 'nowhere')
    for (let round = 0; round < 2; round++) {
      for (const { registry } of nodes) {
        const pulled = registry.pull.getManifest(repository, { digest })
        await expect(pulled).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
      }
    }
    expect(upstream.asked).toEqual([`GET library/alpine@${digest}`])
  })
})

describe('what an upstream gives', () => {
  it.each<[string, string, string]>([
    ['no JSON', 'application/vnd.oci.image.manifest.v1+json', '<html>'],
    [
      'both kinds at once',
      'application/vnd.oci.image.index.v1+json',
      '{"schemaVersion":2,"manifests":[],"layers":[]}',
    ],
    ['schema 1', 'application/vnd.docker.distribution.manifest.v1+json', '{"schemaVersion":1}'],
  ])('is refused when it is %s, with no more than one question', async (_, mediaType, text) => {
    await using opened = new AsyncDisposableStack()
    const { upstream, nodes } = await openSix(opened)
    upstream.put('library/alpine', '3', Buffer.from(text), mediaType)
    const [node] = nodes
    if (node === undefined) throw new Error('six nodes')
    await expect(get(node)).rejects.toMatchObject({
      code: 'MANIFEST_INVALID',
      message: expect.stringContaining('docker.io'),
    })
    expect(upstream.asked).toHaveLength(1)
  })
})
