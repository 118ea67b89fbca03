import { describe, expect, it } from 'vitest'
import { type Digest, mediaTypes, parseRepository, parseTag, siblingTags } from '../../src/oci/oci.ts'
import { type MirrorNode, openCluster } from './cluster.ts'
import { digestOf, FakeUpstream } from './fake-upstream.ts'

const there = 'library/alpine'
const repository = parseRepository(`docker.io/${there}`)
const minuteMs = 60_000
const ttlMs = 5 * minuteMs

const list = ({ registry }: MirrorNode, subject: Digest, query: { artifactType?: string } = {}) =>
  registry.listing.listReferrers(repository, subject, query)
const digestsOf = async (page: ReturnType<typeof list>) => (await page).items.map(({ digest }) => digest)
const pull = ({ registry }: MirrorNode, digest: Digest) => registry.pull.getManifest(repository, { digest })

/** Some that reach one upstream, with an image that is signed and has a bill of materials. */
async function openSigned(opened: AsyncDisposableStack, size = 6) {
  const upstream = new FakeUpstream()
  const subject = upstream.push(there, '3', 'first')
  const signature = upstream.refer(there, subject, 'a/signature')
  const sbom = upstream.refer(there, subject, 'a/sbom', { annotations: { made: 'today' } })
  const cluster = await openCluster(opened, { size, upstreams: [upstream], ttlMs })
  const questions = () => upstream.asked.splice(0).toSorted()
  return { upstream, subject, signature, sbom, both: [signature, sbom].sort(), cluster, questions }
}

describe('the referrers of a mirrored manifest', () => {
  it('are asked for once for the cluster, and not again while they are fresh', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, subject, both, signature, questions } = await openSigned(opened)
    for (let round = 0; round < 2; round++) {
      const listed = await Promise.all(cluster.nodes.map((node) => digestsOf(list(node, subject))))
      expect(listed).toEqual(cluster.nodes.map(() => both))
    }
    expect(questions()).toEqual([
      ...both.map((digest) => `GET ${there}@${digest}`),
      `REFERRERS ${there}@${subject}`,
    ])
    for (const node of cluster.nodes) expect((await pull(node, signature)).digest).toBe(signature)
    expect(questions()).toEqual([])
  })

  it('are told with what clients choose them by', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, subject, sbom } = await openSigned(opened)
    const { items } = await list(cluster.node(3), subject, { artifactType: 'a/sbom' })
    expect(items).toMatchObject([{ digest: sbom, artifactType: 'a/sbom', annotations: { made: 'today' } }])
  })

  it('follow the upstream once they are no longer fresh, and only what is new is fetched', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject, sbom, signature, questions } = await openSigned(opened)
    await digestsOf(list(cluster.node(0), subject))
    questions()
    const attestation = upstream.refer(there, subject, 'a/attestation')
    upstream.claimed.set(subject, [sbom, attestation])
    cluster.clock.advance(ttlMs - 1)
    expect(await digestsOf(list(cluster.node(0), subject))).toContain(signature)
    expect(questions()).toEqual([])
    cluster.clock.advance(1)
    for (const node of cluster.nodes) {
      expect(await digestsOf(list(node, subject))).toEqual([sbom, attestation].sort())
    }
    expect(questions()).toEqual([`GET ${there}@${attestation}`, `REFERRERS ${there}@${subject}`])
  })

  it('are none where the upstream has none, and asked for once as well', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, questions } = await openSigned(opened)
    const unsigned = digestOf('unsigned')
    for (const node of cluster.nodes) expect(await digestsOf(list(node, unsigned))).toEqual([])
    expect(questions()).toEqual([`REFERRERS ${there}@${unsigned}`])
  })

  it('may be older for whom that is enough', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, subject, both, questions } = await openSigned(opened)
    const keep = (node: MirrorNode) =>
      digestsOf(node.registry.listing.listReferrers(repository, subject, { maxAgeMs: 60 * minuteMs }))
    for (const node of cluster.nodes) await keep(node)
    cluster.clock.advance(59 * minuteMs)
    questions()
    for (const node of cluster.nodes) expect(await keep(node)).toEqual(both)
    expect(questions()).toEqual([])
    await list(cluster.node(0), subject)
    expect(questions()).toEqual([`REFERRERS ${there}@${subject}`])
  })

  it('that have a tag beside it are asked for where they are kept, once an hour', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject, questions } = await openSigned(opened, 2)
    const [, sig = parseTag('none')] = siblingTags(subject)
    const signature = upstream.push(there, sig, 'a signature')
    const { registry, names } = cluster.node(0)
    const keep = () => registry.listing.refreshSiblings(repository, subject, { maxAgeMs: 60 * minuteMs })
    await keep()
    expect((await names.findTag(repository, sig))?.digest).toBe(signature)
    expect(questions()).toEqual(
      siblingTags(subject)
        .map((tag) => `GET ${there}:${tag}`)
        .toSorted(),
    )
    cluster.clock.advance(59 * minuteMs)
    await keep()
    expect(questions()).toEqual([])
    cluster.clock.advance(minuteMs)
    upstream.weather = 'cut'
    await keep()
    expect((await names.findTag(repository, sig))?.digest).toBe(signature)
    await registry.listing.refreshSiblings(parseRepository('team/app'), subject, { maxAgeMs: 0 })
  })

  it('are asked for by the next in rank where the first cannot reach it', async () => {
    await using opened = new AsyncDisposableStack()
    const reached = Array.from({ length: 3 }, () => new FakeUpstream())
    const [subject = digestOf('')] = reached.map((upstream) => upstream.push(there, '3', 'first'))
    const [signature] = reached.map((upstream) => upstream.refer(there, subject, 'a/signature'))
    const cluster = await openCluster(opened, {
      size: 4,
      upstreams: (index) => reached.slice(index, index + 1),
      ttlMs,
    })
    await list(cluster.node(3), subject)
    const first = reached.find(({ asked }) => asked.length > 0)
    if (first === undefined) throw new Error('one of three was asked')
    first.weather = 'cut'
    cluster.clock.advance(ttlMs)
    const page = await list(cluster.node(3), subject)
    expect(page).toMatchObject({ items: [{ digest: signature }] })
    expect(page.stale).toBeUndefined()
    expect(reached.filter(({ asked }) => asked.length > 0)).toHaveLength(2)
  })

  it('of the cluster’s own manifests are nothing to ask an upstream for', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, subject, questions } = await openSigned(opened)
    const own = parseRepository('team/app')
    expect(await cluster.node(0).registry.listing.listReferrers(own, subject, {})).toEqual({ items: [] })
    expect(questions()).toEqual([])
  })
})

describe('the referrers of a mirrored manifest whose upstream is away', () => {
  it('are those that were heard of, marked as stale, without anybody waiting', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject, both } = await openSigned(opened)
    const node = cluster.node(0)
    const checkedMs = cluster.clock.now()
    await list(node, subject)
    upstream.weather = 'cut'
    cluster.clock.advance(ttlMs)
    const stale = { upstream: 'docker.io', checkedMs }
    const first = await list(node, subject)
    expect(first.items.map(({ digest }) => digest)).toEqual(both)
    expect(first.stale).toEqual({ ...stale, asked: true })
    const second = await list(node, subject)
    expect(second.items.map(({ digest }) => digest)).toEqual(both)
    expect(second.stale).toEqual({ ...stale, asked: false })
  })

  it('are those that the cluster has records of, for a node that has not asked before', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject, both } = await openSigned(opened)
    await pull(cluster.node(0), subject)
    await list(cluster.node(0), subject)
    await cluster.gossip()
    upstream.weather = 'cut'
    cluster.clock.advance(ttlMs)
    const others = cluster.nodes.slice(1)
    for (const node of others) {
      const page = await list(node, subject)
      expect(page.items.map(({ digest }) => digest)).toEqual(both)
      expect(page.stale).toMatchObject({ upstream: 'docker.io', asked: true })
    }
  })

  it('are not said to be none when nobody knows the manifest', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject } = await openSigned(opened)
    upstream.weather = 'cut'
    await expect(list(cluster.node(0), subject)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/docker\.io.*refused/),
    })
    cluster.clock.advance(minuteMs)
    upstream.weather = 'limited'
    await expect(list(cluster.node(0), subject)).rejects.toMatchObject({
      code: 'TOOMANYREQUESTS',
      retryAfterMs: 60_000,
    })
  })

  it('delay an answer that is here by a second, and one that is not by less than five', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject, both } = await openSigned(opened, 1)
    const { clock } = cluster
    const node = cluster.node(0)
    await list(node, subject)
    clock.advance(ttlMs)
    upstream.weather = 'silent'
    const known = list(node, subject)
    await clock.untilAsleep(1_000)
    clock.advance(1_000)
    expect(await digestsOf(known)).toEqual(both)
    upstream.weather = 'fine'
    clock.advance(minuteMs)
    upstream.weather = 'silent'
    const unknown = list(node, digestOf('unknown'))
    unknown.catch(() => undefined)
    await clock.untilAsleep(4_500)
    clock.advance(4_500)
    await expect(unknown).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('that goes away in the middle are fetched further when it is back', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject } = await openSigned(opened, 1)
    const all = Array.from({ length: 40 }, (_, index) => upstream.refer(there, subject, `a/note-${index}`))
    const node = cluster.node(0)
    let left = 20
    upstream.onAsked = (request) => {
      if (request.startsWith('GET') && --left === 0) upstream.weather = 'cut'
    }
    await expect(list(node, subject)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const fetched = upstream.asked.filter((request) => request.startsWith('GET')).length
    expect(fetched).toBeLessThan(30)
    upstream.weather = 'fine'
    upstream.asked.length = 0
    cluster.clock.advance(minuteMs)
    expect(await digestsOf(list(node, subject))).toEqual(expect.arrayContaining(all))
    expect(upstream.asked.filter((request) => request.startsWith('GET')).length).toBeLessThan(30)
  })
})

describe('an upstream’s list of referrers', () => {
  it('is believed where the manifests say the same, and costs the others nothing', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject, both } = await openSigned(opened, 1)
    const other = upstream.refer(there, digestOf('another'), 'a/signature')
    const plain = upstream.push(there, 'plain', 'no subject')
    const garbage = upstream.put(there, 'garbage', Buffer.from('<html>'))
    const annotations = Object.fromEntries(Array.from({ length: 1_100 }, (_, index) => [`k${index}`, '']))
    const unruly = upstream.refer(there, subject, 'a/note', { annotations })
    upstream.claimed.set(subject, [other, plain, garbage, unruly, digestOf('nowhere'), subject, ...both])
    expect(await digestsOf(list(cluster.node(0), subject))).toEqual(both)
    // Something was there that could not be taken, but it is for the upstream to mend.
    expect(await digestsOf(list(cluster.node(0), subject))).toEqual(both)
    expect(upstream.asked.filter((request) => request.startsWith('REFERRERS'))).toHaveLength(1)
  })

  it('is asked for again soon when it answered something with an error', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject, signature, sbom, both } = await openSigned(opened, 1)
    upstream.failing.add(sbom)
    expect(await digestsOf(list(cluster.node(0), subject))).toEqual([signature])
    upstream.failing.clear()
    cluster.clock.advance(29_000)
    expect(await digestsOf(list(cluster.node(0), subject))).toEqual([signature])
    cluster.clock.advance(1_000)
    expect(await digestsOf(list(cluster.node(0), subject))).toEqual(both)
  })

  it('is bounded in number and in size', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject } = await openSigned(opened, 2)
    for (let index = 0; index < 300; index++) upstream.refer(there, subject, `a/note-${index}`)
    for (const node of cluster.nodes) expect(await digestsOf(list(node, subject))).toHaveLength(256)
    expect(upstream.asked.filter((request) => request.startsWith('GET'))).toHaveLength(256)

    const large = upstream.push(there, 'large', 'large')
    const annotations = { much: 'x'.repeat(30 * 1024) }
    for (let index = 0; index < 20; index++) upstream.refer(there, large, `a/${index}`, { annotations })
    const listed = await Promise.all(cluster.nodes.map((node) => digestsOf(list(node, large))))
    expect(listed[0]).toHaveLength(8)
    expect(listed[1]).toEqual(listed[0])
  })

  it('may name a manifest that is an index', async () => {
    await using opened = new AsyncDisposableStack()
    const { cluster, upstream, subject } = await openSigned(opened, 2)
    const document = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [],
      artifactType: 'a/bundle',
      subject: { mediaType: mediaTypes.ociManifest, digest: subject, size: 3 },
    }
    const bundle = upstream.put(there, '', Buffer.from(JSON.stringify(document)), mediaTypes.ociIndex)
    const { items } = await list(cluster.node(1), subject, { artifactType: 'a/bundle' })
    expect(items).toMatchObject([{ digest: bundle, mediaType: mediaTypes.ociIndex }])
  })
})
