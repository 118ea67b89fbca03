import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OciError, parseTag } from '../../src/oci/oci.ts'
import { History, judge, type Write } from '../model/model.ts'
import {
  type Act,
  acts,
  importAs,
  openScene,
  type Scene,
  type SceneNode,
  unstated,
  versions,
} from './scene.ts'

const one = parseTag('one')
const two = parseTag('two')
const numRuns = 60

describe('at one node', () => {
  let scene: Scene
  let node: SceneNode
  beforeEach(async () => {
    scene = await openScene(1)
    node = scene.at(0)
  })
  afterEach(async () => await scene[Symbol.asyncDispose]())

  it('keeps what is pushed while it is deleted, whatever is collected then', async () => {
    const image = await node.pushBlobs()
    await node.push(image, [one])
    // The deletion has published its tombstones when the push begins, and goes on when that is done.
    node.before('manifests.remove', () => node.push(image, [two]))
    await node.registry.deletion.deleteManifest(node.repository, { digest: image.digest })
    await node.collect()
    expect(await node.getTag(two)).toBe(image.digest)
    expect(await node.getTag(one)).toBeUndefined()
    expect(await node.hasLayer(image)).toBe(true)
  })

  it('lists no tag whose manifest was deleted while it was pushed', async () => {
    const image = await node.pushBlobs()
    await node.push(image, [one])
    node.before('names.publish', () =>
      node.registry.deletion.deleteManifest(node.repository, { digest: image.digest }),
    )
    await node.push(image, [two])
    expect(await node.getTag(two)).toBe(image.digest)
    node.before('names.publish', () => node.push(image, [one]))
    await node.registry.deletion.deleteManifest(node.repository, { digest: image.digest })
    const listed = await node.listTags()
    for (const tag of listed) expect(await node.getTag(tag), `${tag} is listed`).toBe(image.digest)
  })

  it('takes no manifest for a blob that is to be deleted', async () => {
    const image = await node.pushBlobs()
    await node.push(image, [one])
    const deletion = node.registry.deletion.deleteBlob(node.repository, image.digest)
    await expect(deletion).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
    await node.collect()
    expect(await node.getTag(one)).toBe(image.digest)
    expect(await node.hasLayer(image)).toBe(true)
  })

  it('leaves what was tagged again while shoal rm removed its last tag, and takes all tags of a digest', async () => {
    const image = await node.pushBlobs()
    await node.push(image, [one])
    node.before('names.publish', () => node.push(image, [two]))
    await node.remove(`${node.repository}:one`)
    await node.collect()
    expect(await node.listTags()).toEqual([two])
    expect(await node.getTag(two)).toBe(image.digest)
    node.before('names.publish', () => node.push(image, [one]))
    await node.remove(`${node.repository}@${image.digest}`)
    expect(await node.listTags()).toEqual([])
    await node.push(image, [])
    expect(await node.listTags()).toEqual([])
  })

  it('takes nothing of a push before it is published', async () => {
    const image = await node.pushBlobs()
    let collected = 0
    node.before('names.publish', async () => {
      collected = (await node.collect()).links
    })
    await node.push(image, [one])
    expect(collected).toBe(0)
    expect(await node.getTag(one)).toBe(image.digest)
    expect(await node.hasLayer(image)).toBe(true)
  })

  it('takes no manifest that is published between the collector’s look and its grip', async () => {
    const image = await node.pushBlobs()
    await node.push(image, [one])
    await node.names.publish([
      { kind: 'manifest', repository: node.repository, digest: image.digest, value: undefined },
    ])
    let isPushed = false
    await node.collect(async (digest) => {
      if (digest !== image.digest || isPushed) return
      isPushed = true
      await node.push(image, [two])
    })
    expect(isPushed).toBe(true)
    expect(await node.getTag(two)).toBe(image.digest)
    expect(await node.hasLayer(image)).toBe(true)
  })

  it('mounts nothing that the collector takes meanwhile', async () => {
    const image = await node.pushBlobs()
    node.before('links.add', async () => void (await node.collect()))
    const mounted = await node.mountLayer(image)
    expect(await node.hasMounted(image)).toBe(mounted)
  })

  it('announces until the last repository has let go of it', async () => {
    const image = await node.pushBlobs()
    await node.push(image, [one])
    await node.mountAll(image)
    await node.pushTo(node.other, image, [one])
    await node.registry.deletion.deleteManifest(node.repository, { digest: image.digest })
    expect(node.withdrawn).toEqual([])
    await node.registry.deletion.deleteManifest(node.other, { digest: image.digest })
    expect(node.withdrawn).toEqual([image.digest])
  })
})

describe('at two nodes', () => {
  it('a push is later than a deletion elsewhere that it did not see', async () => {
    await using scene = await openScene(2)
    const [a, b] = [scene.at(0), scene.at(1)]
    const image = await a.pushBlobs()
    await b.pushBlobs()
    await a.push(image, [one])
    await b.push(image, [one])
    await scene.heal()
    scene.clock.ms += 1_000
    await a.registry.deletion.deleteManifest(a.repository, { digest: image.digest })
    scene.clock.ms += 2_000
    await b.push(image, [two])
    await scene.heal()
    for (const node of [a, b]) {
      expect(await node.listTags()).toEqual([two])
      expect(await node.getTag(two)).toBe(image.digest)
    }
  })

  it('a tag that was pushed elsewhere to another manifest is not taken along by a later deletion of the first', async () => {
    await using scene = await openScene(2)
    const [a, b] = [scene.at(0), scene.at(1)]
    const image = await a.pushBlobs()
    await a.push(image, [one, two])
    await scene.heal()
    const next = await a.pushBlobs('second')
    scene.clock.ms += 1_000
    await a.push(next, [one])
    scene.clock.ms += 20_000
    // B has not heard of that.
    await b.registry.deletion.deleteManifest(b.repository, { digest: image.digest })
    await scene.heal()
    for (const node of [a, b]) {
      expect(await node.listTags()).toEqual([one])
      expect(await node.getTag(one)).toBe(next.digest)
    }
    scene.clock.ms += 1_000
    await a.push(next, [two])
    await b.remove(`${b.repository}@${next.digest}`)
    await a.push(image, [two])
    await scene.heal()
    for (const node of [a, b]) expect(await node.getTag(two)).toBe(image.digest)
  })

  it('a tag that an import finds as it wants it stays as old as it was', async () => {
    await using scene = await openScene(2)
    const [a, b] = [scene.at(0), scene.at(1)]
    expect(await importAs(a, two)).toBeUndefined()
    scene.clock.ms += 1_000
    const next = await b.pushBlobs('second')
    await b.push(next, [two])
    scene.clock.ms += 1_000
    expect(await importAs(a, two)).toBe(unstated)
    await scene.heal()
    for (const node of [a, b]) expect(await node.getTag(two)).toBe(next.digest)
  })

  it('a tag that is older than deletions are remembered goes with its manifest for good', async () => {
    await using scene = await openScene(2)
    const [a, b] = [scene.at(0), scene.at(1)]
    const image = await a.pushBlobs()
    await a.push(image, [one])
    await scene.heal()
    scene.clock.ms += 40 * 24 * 3_600_000
    await a.registry.deletion.deleteManifest(a.repository, { digest: image.digest })
    // Buried before B has heard of it, which brings the tag again.
    await a.names.sweep()
    await scene.heal()
    scene.clock.ms += 1_000
    await a.push(image, [])
    await scene.heal()
    for (const node of [a, b]) expect(await node.listTags()).toEqual([])
  })

  it('a tag that its deleted manifest took along is neither listed nor kept', async () => {
    await using scene = await openScene(2)
    const [a, b] = [scene.at(0), scene.at(1)]
    const image = await a.pushBlobs()
    await b.pushBlobs()
    await a.push(image, [one])
    scene.clock.ms += 1_000
    await b.push(image, [two])
    scene.clock.ms += 1_000
    // A has not heard of the other tag.
    await a.registry.deletion.deleteManifest(a.repository, { digest: image.digest })
    await scene.heal()
    for (const node of [a, b]) {
      expect(await node.listTags()).toEqual([])
      expect(await node.getTag(two)).toBeUndefined()
      expect(await node.names.findTag(node.repository, two)).toBeUndefined()
      expect(await node.names.tagsOf(node.repository, image.digest)).toEqual([])
    }
    // Long after the tombstone was buried it is as gone as before.
    scene.clock.ms += 40 * 24 * 3_600_000
    for (const node of [a, b]) {
      await node.names.sweep()
      expect(await node.listTags()).toEqual([])
    }
    await a.push(image, [one])
    await scene.heal()
    expect(await b.getTag(one)).toBe(image.digest)
  })
})

/** What was asked of a node, when, and how it ended, in the order of the test. */
async function run(scene: Scene, history: History, act: Act): Promise<void> {
  const node = scene.at(act.node)
  const beginMs = scene.step()
  const write = (outcome: Write['outcome']): void => {
    const span = { node: String(act.node), beginMs, endMs: scene.step(), outcome }
    for (const what of act.writes(node)) history.add({ ...what, ...span } as Write)
  }
  try {
    write((await act.run(node)) === unstated ? 'unknown' : 'acknowledged')
  } catch (error) {
    if (!(error instanceof OciError) && (error as { code?: string }).code !== 'BLOB_MISSING') throw error
    write('refused')
  }
}

async function check(history: History, scene: Scene, count: number): Promise<void> {
  const nodes = Array.from({ length: count }, (_, at) => scene.at(at))
  for (const [at, node] of nodes.entries()) {
    const asked = { node: String(at), repository: node.repository, beginMs: scene.step() }
    const tags = await node.listTags()
    expect(judge(history, { ...asked, endMs: scene.step(), kind: 'list', tags })).toBeUndefined()
    for (const tag of [one, two]) {
      const found = await node.getTag(tag)
      const answer = found === undefined ? { is: 'absent' as const } : { is: 'found' as const, digest: found }
      const read = { ...asked, beginMs: scene.step(), endMs: scene.step() }
      expect(judge(history, { ...read, kind: 'tag', tag, answer })).toBeUndefined()
      if (tags.includes(tag)) expect(found, `${tag} is listed`).toBeDefined()
    }
    for (const { digest } of versions.map((version) => node.image(version))) {
      const isThere = await node.hasManifest(digest)
      const answer = isThere ? { is: 'found' as const, digest } : { is: 'absent' as const }
      const read = { ...asked, beginMs: scene.step(), endMs: scene.step() }
      expect(judge(history, { ...read, kind: 'manifest', digest, answer })).toBeUndefined()
      const isWhole = await Promise.all(nodes.map((each) => each.hasLayer(each.image())))
      if (isThere) expect(isWhole, 'its layer is there').toContain(true)
    }
  }
}

describe('every two or three that meet', () => {
  it('answer as the model allows, at one node', { timeout: 60_000 }, async () => {
    await using scene = await openScene(1)
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(acts(1), { minLength: 0, maxLength: 2 }),
        fc.array(acts(1), { minLength: 2, maxLength: 3 }),
        async (scheduler, before, meeting) => {
          const history = new History({ nodes: ['0'], settleMs: 0, clockErrorMs: 0 })
          scene.begin()
          for (const act of before) await run(scene, history, act)
          scene.meet(scheduler)
          await scheduler.waitFor(Promise.all(meeting.map((act) => run(scene, history, act))))
          scene.meet(undefined)
          await check(history, scene, 1)
          await scene.at(0).collect()
          await check(history, scene, 1)
        },
      ),
      { numRuns },
    )
  })

  it('answer as the model allows, at two nodes that are apart and then not', {
    timeout: 60_000,
  }, async () => {
    await using scene = await openScene(2)
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(acts(2), { minLength: 0, maxLength: 3 }),
        fc.array(acts(2), { minLength: 2, maxLength: 3 }),
        async (scheduler, before, meeting) => {
          const history = new History({ nodes: ['0', '1'], settleMs: 0, clockErrorMs: 0 })
          const heal = history.cut(0, ['0'], ['1'])
          scene.begin()
          for (const act of before) await run(scene, history, act)
          scene.meet(scheduler)
          await scheduler.waitFor(Promise.all(meeting.map((act) => run(scene, history, act))))
          scene.meet(undefined)
          await check(history, scene, 2)
          heal(scene.step())
          await scene.heal()
          await check(history, scene, 2)
          expect(await scene.at(0).listTags()).toEqual(await scene.at(1).listTags())
          for (const at of [0, 1]) await scene.at(at).collect()
          await check(history, scene, 2)
        },
      ),
      { numRuns },
    )
  })
})
