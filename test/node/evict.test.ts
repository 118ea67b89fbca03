/** `shoal evict`: what goes from this host, who is asked first, and what is refused. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { describeEvicted } from '../../node/commands/evict.ts'
import type { EvictedImage } from '../../node/operations/evict.ts'
import type { OperationContext } from '../../node/operations/operations.ts'
import { runOperation } from '../../node/operations/run-operation.ts'
import { type Digest, parseDigest, parseRepository } from '../../src/oci/oci.ts'
import { makeImage } from '../e2e/image.ts'
import { type OperatedNode, openOperatedNode } from './operations/fixture.ts'

const app = parseRepository('team/app')
const image = makeImage({ seed: 'one', layerBytes: [100, 200] })
const blobs = [image.config, ...image.layers].map(({ descriptor }) => parseDigest(descriptor.digest))
const { signal } = new AbortController()

let operated: OperatedNode
/** Who has which blob. */
let holders: Map<Digest, string[]>
/** What placement says of this host. */
let owed: EvictedImage['owed']
/** Who keeps all of the image. */
let staying: string[]

beforeEach(async () => {
  operated = await openOperatedNode()
  await operated.push(app, '1', image)
  owed = undefined
  staying = ['carol']
  holders = new Map(blobs.map((digest) => [digest, ['bob', 'carol']]))
})
afterEach(async () => await operated[Symbol.asyncDispose]())

async function evict(force = false): Promise<EvictedImage[]> {
  const exchange = {
    seeders: async ({ digest }: { digest: Digest }) => holders.get(digest) ?? [],
  }
  const { node, registry } = operated
  const member = { exchange } as unknown as Required<OperationContext>['member']
  const params = { images: ['team/app:1'], force }
  const copies = {
    duty: async () => owed,
    askToStay: async (_: unknown, peers: string[]) => peers.filter((peer) => staying.includes(peer)),
  } as unknown as Required<OperationContext>['copies']
  const context = { node, registry, member, copies }
  const result = await runOperation(context, 'evict', params, () => undefined, { signal })
  return (result as { images: EvictedImage[] }).images
}

const here = async (): Promise<number> => {
  const found = await Promise.all(blobs.map((digest) => operated.node.store.blobs.stat(digest)))
  return found.filter((blob) => blob !== undefined).length
}

describe('evicting an image', () => {
  it('frees its blobs, keeps its tag and manifest, and says who has all of it', async () => {
    holders.set(blobs[1] as Digest, ['carol'])
    const [evicted] = await evict()
    expect(evicted).toMatchObject({ blobs: 3, inUse: 0, holders: ['carol'], isMirrored: false })
    expect(evicted?.bytes).toBeGreaterThanOrEqual(300)
    expect(await here()).toBe(0)
    const { digest } = await operated.registry.pull.getManifest(app, { tag: '1' as never })
    expect(digest).toBe(image.manifest.descriptor.digest)
  })

  it('refuses the last copy unless that is meant', async () => {
    holders.delete(blobs[2] as Digest)
    await expect(evict()).rejects.toMatchObject({
      code: 'EVICTION_REFUSED',
      message: expect.stringMatching(/1 of 3 blobs that no member which answers has.*--force/),
    })
    expect(await here()).toBe(3)
    await evict(true)
    expect(await here()).toBe(0)
  })

  it('refuses what nobody who has it promises to keep', async () => {
    staying = []
    await expect(evict()).rejects.toMatchObject({
      code: 'EVICTION_REFUSED',
      message: expect.stringContaining('keeps it'),
    })
    expect(await here()).toBe(3)
    await evict(true)
    expect(await here()).toBe(0)
  })

  it('refuses what a keep rule would bring back', async () => {
    await operated.perform('keep-add', { repositories: 'team/*' })
    await expect(evict()).rejects.toMatchObject({ message: expect.stringContaining('shoal keep rm') })
    expect(await here()).toBe(3)
  })

  it('says that the copy comes back where this host is one of its owners', async () => {
    expect((await evict())[0]).not.toHaveProperty('owed')
    expect(await here()).toBe(0)
    owed = { copies: 2, rule: `the policy's placement of "team/**"` }
    const [evicted] = await evict()
    expect(evicted?.owed).toEqual(owed)
    if (evicted === undefined) return
    const shown = { ...evicted, blobs: 1, holders: ['bob', 'carol'] }
    expect(describeEvicted(shown)).toContain('; it is at bob and carol; it comes')
    expect(describeEvicted({ ...shown, isMirrored: true })).toContain('at bob, carol and its upstream; it')
    expect(describeEvicted(evicted)).toMatch(/back within the hour.*one of the 2.*placement of "team\/\*\*"/)
  })

  it('leaves blobs that another image here needs', async () => {
    const [layer] = image.layers
    const sharing = makeImage({ seed: 'one', layerBytes: [100] })
    expect(sharing.layers[0]?.descriptor.digest).toBe(layer?.descriptor.digest)
    await operated.push(parseRepository('other/app'), '2', sharing)
    const [evicted] = await evict()
    expect(evicted?.blobs).toBeLessThan(3)
    const kept = parseDigest(layer?.descriptor.digest ?? '')
    expect(await operated.node.store.blobs.stat(kept)).toBeDefined()
    if (evicted === undefined) return
    expect(describeEvicted(evicted)).toMatch(
      /^evicted .*, . blobs? that other images here need stayed; it is at /,
    )
    owed = { copies: 2, rule: 'the usual placement' }
    const [again] = await evict()
    if (again === undefined) return
    expect(describeEvicted(again)).toMatch(
      /^team\/app:1: nothing went, . blobs? that other images here need stayed$/,
    )
  })
})
