import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { perform } from '../../../node/admin/perform.ts'
import type { LocalNode } from '../../../node/local-node.ts'
import { type DrainEvent, drainNode } from '../../../node/operations/drain.ts'
import type { OperationContext } from '../../../node/operations/operations.ts'
import { parseRepository } from '../../../src/oci/oci.ts'
import { keyOf } from '../../../src/placement/placement.ts'
import { createRegistry } from '../../../src/registry/registry.ts'
import { makeBlob, makeImage, makeIndex } from '../../placement/world.ts'
import { openLiveNode } from '../live-node.ts'
import { Site } from '../site.ts'

const { signal } = new AbortController()
const apps = parseRepository('team/apps')
const image = makeImage([makeBlob('a layer')])
const child = makeImage([makeBlob('another layer')], { seed: 'child' })
const index = makeIndex([child])
const untagged = makeImage([makeBlob('one more')], { seed: 'untagged' })

let folder: string
let site: Site

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shoal-drain-'))
  site = new Site(join(folder, 'data'))
  await site.push(apps, image, 'v1')
  await site.push(apps, index, 'all')
  await site.push(apps, untagged)
})
afterEach(async () => await rm(folder, { recursive: true }))

/** Of members that take what `takes` says. */
function contextOf(node: LocalNode, takes: (name: string) => boolean, room = 10) {
  using registry = createRegistry(node)
  const asked: string[] = []
  let hasLeft = false
  const copies = {
    short: () => [],
    leave: () => {
      hasLeft = true
    },
    handOver: async (name: Parameters<typeof keyOf>[0]) => {
      asked.push(keyOf(name))
      return takes(keyOf(name))
    },
  }
  const member = { swarm: { members: { offers: () => [{ peer: 'other', room }] } } }
  const context = { node, registry, copies, member } as unknown as OperationContext
  return { context, asked, hasLeft: () => hasLeft }
}

describe('draining', () => {
  it('has all that was pushed here taken by others, each image once, and says so', async () => {
    await site.open(async (node) => {
      const { context, asked, hasLeft } = contextOf(node, () => true)
      const events: DrainEvent[] = []
      const result = await drainNode(context, {}, (event) => events.push(event), { signal })
      expect(result).toEqual({ images: 3, moved: 3, left: [] })
      const names = [image, index, untagged].map(({ digest }) => keyOf({ repository: apps, digest }))
      expect(asked.toSorted()).toEqual(names.toSorted())
      expect(events.at(-1)).toEqual({ images: 3, moved: 3 })
      expect(hasLeft()).toBe(true)
    })
  })

  it('has what refers to an image that is not here taken as well', async () => {
    const elsewhere = makeImage([makeBlob('not here')], { seed: 'elsewhere' })
    const signature = makeImage([makeBlob('signature')], { subject: elsewhere })
    const ofImage = makeImage([makeBlob('signature of the image')], { subject: image })
    await site.push(apps, signature)
    await site.push(apps, ofImage)
    await site.open(async (node) => {
      const { context, asked } = contextOf(node, () => true)
      await drainNode(context, {}, () => undefined, { signal })
      expect(asked).toContain(keyOf({ repository: apps, digest: signature.digest }))
      // It goes with the image.
      expect(asked).not.toContain(keyOf({ repository: apps, digest: ofImage.digest }))
    })
  })

  it('tries again what nobody has taken, until the time is over, and names it', async () => {
    await site.open(async (node) => {
      const name = keyOf({ repository: apps, digest: image.digest })
      const { context } = contextOf(node, (asked) => asked !== name)
      const result = await drainNode(context, { withinMs: 0 }, () => undefined, { signal })
      expect(result).toEqual({ images: 3, moved: 2, left: [name] })
    })
  })

  it('refuses where nobody offers room, and where no node runs', async () => {
    await site.open(async (node) => {
      const { context, hasLeft } = contextOf(node, () => true, 0)
      const drain = (given: OperationContext) => drainNode(given, {}, () => undefined, { signal })
      await expect(drain(context)).rejects.toMatchObject({ code: 'DRAIN' })
      expect(hasLeft()).toBe(false)
      const { copies: _, member: __, ...stopped } = context
      await expect(drain(stopped)).rejects.toMatchObject({ code: 'DRAIN' })
    })
  })
})

it('is asked of the node that runs, which refuses while nobody else is there', async () => {
  await using live = await openLiveNode()
  await expect(perform(live.settings, 'drain', {})).rejects.toThrow('no other member that offers room')
})
