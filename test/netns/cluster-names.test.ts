/** Whole nodes on hosts of their own show the same names: after pushes, deletions, crashes and partitions. */
import { rm } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Client, pullManifest, pushBlob } from '../e2e/client.ts'
import { type Content, content, makeImage, seededBytes, sha256, writeLayout } from '../e2e/image.ts'
import { showOutputOnFailure } from '../e2e/process.ts'
import { requires } from '../e2e/requirement.ts'
import { hasSecondCopy } from '../e2e/second-copy.ts'
import { until } from '../swarm/fixture.ts'
import { type ClusterNode, isMesh, openClusterNodes } from './cluster-node.ts'
import { deleteTag, listNames, pushSmall, resolveTag, smallManifest } from './names.ts'
import { type Network, networkNeeds, openNetwork } from './network.ts'

const spreadMs = 30_000

describe('a cluster of four', requires(...networkNeeds, 'skopeo'), () => {
  const stack = new AsyncDisposableStack()
  let network: Network
  let nodes: ClusterNode[] = []
  let a: ClusterNode
  let b: ClusterNode
  let c: ClusterNode
  let d: ClusterNode

  beforeAll(async () => {
    network = stack.use(await openNetwork(4))
    nodes = await openClusterNodes(network.hosts, stack)
    const [first, second, third, fourth] = nodes
    if (!first || !second || !third || !fourth) throw new Error('four nodes')
    ;[a, b, c, d] = [first, second, third, fourth]
    await until('a mesh of four', () => isMesh(nodes), 30_000)
  }, 120_000)
  afterAll(async () => await stack.disposeAsync(), 60_000)
  afterEach(async () => await network.heal())
  showOutputOnFailure(() => nodes)

  const resolvesEverywhere = async (repository: string, tag: string, digest: string | undefined) => {
    for (const { client } of nodes) {
      if ((await resolveTag(client, repository, tag)) !== digest) return false
    }
    return true
  }
  const agree = async (what: string, repository: string, subject?: Content): Promise<void> => {
    const list = () => Promise.all(nodes.map(({ client }) => listNames(client, repository, subject)))
    let listings: unknown[] = []
    const isSame = async () => {
      listings = await list()
      return listings.every((listing) => JSON.stringify(listing) === JSON.stringify(listings[0]))
    }
    try {
      await until(what, isSame, spreadMs)
    } catch (error) {
      // Who differs in what is worth more than how long it was waited for.
      for (const listing of listings) expect(listing, what).toEqual(listings[0])
      throw error
    }
  }
  const push = async (client: Client, repository: string, tag: string, seed: string): Promise<Content> => {
    const manifest = smallManifest(seed)
    await pushSmall(client, repository, tag, manifest)
    return manifest
  }

  test('an image that skopeo pushes on one host is pulled by its tag on the others', async () => {
    const image = makeImage({ seed: 'cluster', layerBytes: [200_000, 3_000_000] })
    await writeLayout(a.folder.at('layout'), { image })
    const name = 'docker://localhost:5000/team/app:1'
    await a.run('skopeo', 'copy', '--dest-tls-verify=false', `oci:${a.folder.at('layout')}:image`, name)
    await b.run('skopeo', 'copy', '--src-tls-verify=false', name, `oci:${b.folder.at('back')}:image`)
    await c.run('skopeo', 'copy', '--src-tls-verify=false', name, `dir:${c.folder.at('back')}`)
    const { body } = await pullManifest(d.client, 'team/app', '1')
    expect(sha256(body)).toBe(image.manifest.descriptor.digest)
    for (const { descriptor } of [image.config, ...image.layers]) {
      const blob = await d.client.ask('GET', `/v2/team/app/blobs/${descriptor.digest}`)
      expect([blob.status, sha256(blob.body)]).toEqual([200, descriptor.digest])
    }
  })

  test('a blob of another host is read by sixteen exact ranges at once, as ollama does', async () => {
    const model = content('application/vnd.ollama.image.model', seededBytes('model', 24_000_000))
    await pushBlob(a.client, 'library/model', model)
    const path = `/v2/library/model/blobs/${model.descriptor.digest}`
    const part = model.bytes.length / 16
    const parts = await Promise.all(
      Array.from({ length: 16 }, async (_, index) => {
        const headers = { Range: `bytes=${index * part}-${(index + 1) * part - 1}` }
        const { status, body } = await d.client.ask('GET', path, { headers })
        expect([status, body.length]).toEqual([206, part])
        return body
      }),
    )
    expect(Buffer.concat(parts).equals(model.bytes)).toBe(true)
  })

  test('moved and deleted tags, the catalog, the lists and the referrers are the same on all', async () => {
    const first = await push(a.client, 'lists/one', 'moved', 'first')
    await until(
      'the tag everywhere',
      () => resolvesEverywhere('lists/one', 'moved', first.descriptor.digest),
      spreadMs,
    )
    const second = await push(b.client, 'lists/one', 'moved', 'second')
    await push(c.client, 'lists/one', 'deleted', 'first')
    await push(d.client, 'lists/two', 'other', 'third')
    const note = smallManifest('a note', first)
    await pushSmall(d.client, 'lists/one', note.descriptor.digest, note)
    await until(
      'the second everywhere',
      () => resolvesEverywhere('lists/one', 'moved', second.descriptor.digest),
      spreadMs,
    )
    await until(
      'the tag to be deleted everywhere',
      () => resolvesEverywhere('lists/one', 'deleted', first.descriptor.digest),
      spreadMs,
    )
    await deleteTag(a.client, 'lists/one', 'deleted')
    await until('no tag anywhere', () => resolvesEverywhere('lists/one', 'deleted', undefined), spreadMs)
    await agree('the same lists', 'lists/one', first)
    const listed = await listNames(b.client, 'lists/one', first)
    expect(listed).toMatchObject({
      repositories: expect.arrayContaining(['lists/one', 'lists/two']),
      tags: { moved: second.descriptor.digest },
      referrers: { manifests: [{ digest: note.descriptor.digest }] },
    })
  })

  test('a tag that was just pushed is found from anywhere, whether or not gossip has brought it', async () => {
    let atOnce = 0
    for (let i = 0; i < 20; i++) {
      const { digest } = (await push(a.client, 'quick/app', `${i}`, `quick ${i}`)).descriptor
      const found = async () => (await resolveTag(d.client, 'quick/app', `${i}`)) === digest
      if (await found()) atOnce++
      else await until('the tag', found, spreadMs)
    }
    console.log(`${atOnce} of 20 tags resolved at the first try`)
  })

  test('two halves that moved and deleted the same tags agree after the partition', async () => {
    const tags = Array.from({ length: 12 }, (_, index) => `t${index}`)
    for (const tag of tags) await push(a.client, 'split/app', tag, 'before')
    await agree('the tags everywhere', 'split/app')
    await network.partition([a.host, b.host], [c.host, d.host])
    await until('two meshes of two', async () => (await isMesh([a, b])) && (await isMesh([c, d])), 60_000)

    const last = new Map<string, string | undefined>()
    for (const [index, tag] of tags.entries()) {
      const sides = index % 2 === 0 ? [a, c] : [d, b]
      for (const [turn, side] of sides.entries()) {
        if (index % 3 === turn) {
          await deleteTag(side.client, 'split/app', tag)
          last.set(tag, undefined)
        } else {
          const { descriptor } = await push(side.client, 'split/app', tag, `${side.name} ${tag}`)
          last.set(tag, descriptor.digest)
        }
        // Of two writes in one millisecond the author decides.
        const then = Date.now()
        await until('the clock to move on', () => Date.now() > then)
      }
    }
    // What one half deleted while the other had it: the tombstone is the newest that is said of it.
    await deleteTag(c.client, 'split/app', 't11')
    last.set('t11', undefined)

    const healed = performance.now()
    await network.heal()
    await agree('the same everywhere', 'split/app')
    console.log(`the same everywhere ${(performance.now() - healed).toFixed(0)} ms after the cut was mended`)
    await until('one mesh', () => isMesh(nodes), 30_000)
    for (const [tag, digest] of last) {
      for (const { client } of nodes)
        expect([tag, await resolveTag(client, 'split/app', tag)]).toEqual([tag, digest])
    }
  })

  test('a node that is killed in the middle of pushes catches up when it is back', async () => {
    const pushed = new Map<string, string>()
    const push20 = async (client: Client, prefix: string) => {
      for (let i = 0; i < 20; i++) {
        const tag = `${prefix}${i}`
        try {
          pushed.set(tag, (await push(client, 'crash/app', tag, tag)).descriptor.digest)
        } catch (error) {
          if (client !== d.client) throw error
          return
        }
      }
    }
    const pushing = push20(d.client, 'on-d-')
    await until('some of it', () => pushed.size > 5)
    await d.kill()
    await pushing
    await push20(b.client, 'on-b-')
    await d.start(['--no-mdns'])
    await until('one mesh', () => isMesh(nodes), 30_000)
    await agree('the same everywhere', 'crash/app')
    // Each push that was acknowledged counts, also those that nobody else had heard of.
    for (const [tag, digest] of pushed) {
      for (const { client } of nodes)
        expect([tag, await resolveTag(client, 'crash/app', tag)]).toEqual([tag, digest])
    }
  })

  // Last: each of them ends a host for good.
  test('what was pushed survives its host: with --ack 2 at once, without it once there is a second copy', async () => {
    const image = makeImage({ seed: 'survives', layerBytes: [200_000, 3_000_000] })
    const push = async (node: ClusterNode, tag: string): Promise<void> => {
      await writeLayout(node.folder.at('survives'), { image })
      const name = `docker://localhost:5000/team/survives:${tag}`
      await node.run(
        'skopeo',
        'copy',
        '--dest-tls-verify=false',
        `oci:${node.folder.at('survives')}:image`,
        name,
      )
    }
    const die = async (node: ClusterNode): Promise<void> => {
      await node.kill()
      await rm(node.folder.at('data'), { recursive: true })
    }
    const pull = async (node: ClusterNode, tag: string): Promise<void> => {
      const name = `docker://localhost:5000/team/survives:${tag}`
      await node.run(
        'skopeo',
        'copy',
        '--src-tls-verify=false',
        name,
        `dir:${node.folder.at(`survived-${tag}`)}`,
      )
    }

    await push(a, 'acknowledged')
    // The same again, as a client that waits.
    const again = await a.client.ask('PUT', '/v2/team/survives/manifests/acknowledged', {
      headers: { 'Content-Type': image.manifest.descriptor.mediaType, 'Shoal-Ack': '2' },
      body: image.manifest.bytes,
    })
    expect([again.status, again.headers.warning]).toEqual([201, undefined])
    await die(a)
    await Promise.all([b, c, d].map((node) => pull(node, 'acknowledged')))

    const other = makeImage({ seed: 'survives later', layerBytes: [200_000, 3_000_000] })
    await writeLayout(b.folder.at('later'), { image: other })
    const later = 'docker://localhost:5000/team/survives:later'
    await b.run('skopeo', 'copy', '--dest-tls-verify=false', `oci:${b.folder.at('later')}:image`, later)
    await until('the second copy', () => hasSecondCopy(b.folder.at('data'), 'team/survives:later'))
    await die(b)
    await Promise.all([c, d].map((node) => pull(node, 'later')))
  })
})
