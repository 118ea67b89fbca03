import { expect, it } from 'vitest'
import { Holdings } from '../../src/placement/holdings.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import { type Made, makeBlob, makeImage, makeIndex, repository, World } from './world.ts'

const { signal } = new AbortController()

function scene(image: Made) {
  const world = new World().add(image)
  const clock = new SteppedClock()
  const options = { makeDurable: async () => undefined, onBrought: () => undefined, clock }
  const holdings = new Holdings({ ...options, library: world, supply: world, politeSupply: world })
  return { world, holdings, clock, named: { repository, ...image } }
}

it('brings a layer that may be missing everywhere where somebody has it, and is whole without', async () => {
  const foreign = makeBlob('foreign', 'application/vnd.oci.image.layer.nondistributable.v1.tar')
  const image = makeImage([makeBlob('layer'), foreign])
  const { world, holdings, named } = scene(image)
  expect(await holdings.bring(named, { signal })).toMatchObject({ isWhole: true })
  expect(world.held).toContain(foreign.digest)

  const other = scene(image)
  other.world.lost.add(foreign.digest)
  expect(await other.holdings.bring(other.named, { signal })).toMatchObject({ isWhole: true })
  expect(other.world.held).not.toContain(foreign.digest)
})

it('looks for few of the parts that nobody need have where nobody has them', async () => {
  const layer = makeBlob('layer')
  const type = 'application/vnd.oci.image.layer.nondistributable.v1.tar'
  const foreign = Array.from({ length: 200 }, (_, at) => makeBlob(`foreign ${at}`, type))
  const unpushed = Array.from({ length: 200 }, (_, at) => makeImage([], { seed: `unpushed ${at}` }))
  const index = makeIndex([...unpushed, makeImage([layer])])
  for (const [image, lost] of [
    [makeImage([...foreign, layer]), foreign],
    [index, unpushed],
  ] as const) {
    const { world, holdings, named } = scene(image)
    for (const { digest } of lost) world.lost.add(digest)
    world.absent.set(
      index.digest,
      unpushed.map(({ digest }) => digest),
    )
    expect(await holdings.bring(named, { signal })).toMatchObject({ isWhole: true })
    expect(world.asked.filter((digest) => world.lost.has(digest)).length).toBeLessThan(10)
    expect(world.held).toContain(layer.digest)
  }
})

it('holds no image to be whole of which there is more than it looks through', async () => {
  const layers = (image: number) => Array.from({ length: 4_000 }, (_, at) => makeBlob(`${image} ${at}`))
  const images = Array.from({ length: 6 }, (_, number) => makeImage(layers(number), { seed: String(number) }))
  const { world, holdings, named } = scene(makeIndex(images))
  const { isWhole, cause } = await holdings.bring(named, { signal })
  expect([isWhole, cause?.code]).toEqual([false, 'IMAGE_TOO_LARGE'])
  expect(world.held.size).toBeGreaterThan(19_000)
  expect(await holdings.look(named, { signal })).toBe(false)
})

it('lets others have their turn when an image comes slowly, and keeps what came', async () => {
  const [layer, dripping] = [makeBlob('layer'), makeBlob('dripping')]
  const { world, holdings, clock, named } = scene(makeImage([layer, dripping]))
  world.dripping.add(dripping.digest)
  const bringing = holdings.bring(named, { signal })
  await expect.poll(() => world.held.has(layer.digest)).toBe(true)
  clock.advance(600_000)
  expect(await bringing).toMatchObject({ isWhole: false, cause: { code: 'IMAGE_SLOW' } })

  world.dripping.clear()
  expect(await holdings.bring(named, { signal })).toMatchObject({ isWhole: true })
})

it('has an image that comes slowly give way after a minute where others wait', async () => {
  const dripping = makeBlob('dripping')
  const { world, holdings, clock, named } = scene(makeImage([dripping]))
  world.dripping.add(dripping.digest)
  let isAwaited = false
  const bringing = holdings.bring(named, { signal, isAwaited: () => isAwaited })
  let isOver = false
  void bringing.then(() => {
    isOver = true
  })
  await clock.untilAsleep(60_000)
  for (let minutes = 0; minutes < 5; minutes++) {
    clock.advance(60_000)
    await settled()
  }
  expect(isOver).toBe(false)
  isAwaited = true
  clock.advance(60_000)
  expect(await bringing).toMatchObject({ isWhole: false, cause: { code: 'IMAGE_SLOW' } })
})

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
