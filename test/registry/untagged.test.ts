import { expect, it } from 'vitest'
import { parseTag } from '../../src/oci/oci.ts'
import { openScene, type SceneNode } from './scene.ts'

const hourMs = 3_600_000
const keepMs = 24 * hourMs

const collect = (node: SceneNode) =>
  node.store.collect({
    graceMs: hourMs,
    isLive: async (repository, digest) => (await node.names.findManifest(repository, digest)) !== undefined,
    untagging: {
      keepMs,
      find: async (repository, digest) =>
        (await node.names.tagsOf(repository, digest)).length > 0 ? undefined : { statedMs: 0 },
    },
  })

it('a manifest without a tag stays for as long as it is asked for by its digest', async () => {
  await using scene = await openScene(1)
  const node = scene.at(0)
  const image = await node.pushBlobs()
  await node.push(image, [])
  const { pull } = node.registry
  const asked = [
    () => pull.getManifest(node.repository, { digest: image.digest }),
    () => pull.statManifest(node.repository, { digest: image.digest }),
  ]
  scene.clock.ms += hourMs
  for (let day = 0; day < 6; day++) {
    expect(await collect(node)).toMatchObject({ manifests: 0 })
    await asked[day % 2]?.()
    scene.clock.ms += keepMs - 1
  }
  scene.clock.ms += 1
  expect(await collect(node)).toMatchObject({ manifests: 1, links: 3 })
  // Not from what was kept in memory either: a client that is told that it is there does not push it.
  for (const ask of asked) await expect(ask()).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' })
  await node.pushBlobs()
  await node.push(image, [parseTag('one')])
  expect(await node.getTag(parseTag('one'))).toBe(image.digest)
})

it('a manifest that one node let go comes from another that has it, and is kept anew', async () => {
  await using scene = await openScene(2)
  const [a, b] = [scene.at(0), scene.at(1)]
  const image = await a.pushBlobs()
  await a.push(image, [])
  await b.pushBlobs()
  await b.push(image, [])
  await scene.heal()
  scene.clock.ms += hourMs
  await collect(a)
  scene.clock.ms += keepMs
  expect(await collect(a)).toMatchObject({ manifests: 1 })
  expect(await a.hasManifest(image.digest)).toBe(true)
  scene.clock.ms += hourMs
  expect(await collect(a)).toMatchObject({ manifests: 0 })
})
