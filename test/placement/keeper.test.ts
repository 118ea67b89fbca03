import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Digest } from '../../src/oci/oci.ts'
import { OciError, parseRepository, parseTag, siblingTags } from '../../src/oci/oci.ts'
import { createRule, type Keeper, openKeeper, surveyRule } from '../../src/placement/placement.ts'
import type { Change } from '../../src/records/records.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import { type TestLedger, testLedger } from '../records/fixture.ts'
import { until } from '../swarm/fixture.ts'
import { closureOf, type Made, makeBlob, makeImage, makeIndex, repository, World } from './world.ts'

let opened: AsyncDisposableStack
let book: TestLedger
let world: World
let clock: SteppedClock
let rules: ReturnType<typeof createRule>[]
let ruleListeners: Set<() => void>
let joinListeners: Set<() => void>
let shareListeners: Set<() => void>
let isOurs: (digest: Digest) => boolean
let hasMembers: boolean
let keeper: Keeper
let made = 0

function setRules(...texts: Parameters<typeof createRule>[0][]): void {
  rules = texts.map(createRule)
  for (const listener of ruleListeners) listener()
}

function start(): Keeper {
  return opened.use(
    openKeeper({
      names: book.ledger,
      rules: {
        list: () => rules,
        onChange(listener) {
          ruleListeners.add(listener)
          return () => ruleListeners.delete(listener)
        },
      },
      library: world,
      supply: world,
      hasSupply: () => hasMembers,
      isOurs: (_rule, digest) => isOurs(digest),
      onShares(listener) {
        shareListeners.add(listener)
        return () => shareListeners.delete(listener)
      },
      onJoin(listener) {
        joinListeners.add(listener)
        return () => joinListeners.delete(listener)
      },
      refreshEveryMs: 60_000,
      clock,
      random: () => 0.5,
    }),
  )
}

const manifestChange = (name: string, { digest, mediaType, size, subject }: Made): Change => ({
  kind: 'manifest',
  repository: parseRepository(name),
  digest,
  value: { mediaType, size, ...(subject === undefined ? {} : { subject }) },
})

/** Somebody pushes it elsewhere: its records come here. */
async function publish(name: string, tag: string, image: Made): Promise<void> {
  world.add(image)
  const { digest, mediaType, size } = image
  const value = { digest, mediaType, size }
  await book.ledger.publish([
    manifestChange(name, image),
    { kind: 'tag', repository: parseRepository(name), tag: parseTag(tag), value },
  ])
}

const newImage = (): Made =>
  makeImage([makeBlob(`layer ${made++}`), makeBlob(`layer ${made++}`)], { seed: `${made++}` })
const isHeld = (...roots: Made[]): boolean =>
  closureOf(...roots).every(({ digest }) => world.held.has(digest))
const heldOf = (root: Made): Digest[] =>
  closureOf(root).flatMap(({ digest }) => (world.held.has(digest) ? digest : []))

/** Lets minutes pass until it is so. */
async function minutes(what: string, isSo: () => boolean): Promise<void> {
  await until(what, () => {
    clock.advance(60_000)
    return isSo()
  })
}

describe('the keeper', () => {
  beforeEach(async () => {
    opened = new AsyncDisposableStack()
    clock = new SteppedClock()
    book = opened.use(await testLedger({ clock }))
    world = new World()
    rules = []
    ruleListeners = new Set()
    joinListeners = new Set()
    shareListeners = new Set()
    isOurs = () => true
    hasMembers = true
  })
  afterEach(() => opened.disposeAsync())

  it('brings what exists when it starts, and when a rule is added, and nothing else', async () => {
    const [before, after, other] = [newImage(), newImage(), newImage()]
    await publish('apps/web', '1', before)
    await publish('late/web', '1', after)
    await publish('other/web', '1', other)
    setRules({ repositories: 'apps/*' })
    keeper = start()
    await until('the first', () => isHeld(before))
    expect(heldOf(after)).toEqual([])
    setRules({ repositories: 'apps/*' }, { repositories: 'late/*' })
    await until('the second', () => isHeld(after))
    expect(heldOf(other)).toEqual([])
  })

  it('brings a tag when its record comes, and not one that no rule matches', async () => {
    setRules({ repositories: 'apps/*', tags: 'v*' })
    keeper = start()
    const [wanted, unwanted] = [newImage(), newImage()]
    await publish('apps/web', 'latest', unwanted)
    await publish('apps/web', 'v1', wanted)
    await until('the tag', () => isHeld(wanted))
    expect(heldOf(unwanted)).toEqual([])
  })

  it('brings a tag that comes while a long fetch goes on', async () => {
    const slow = newImage()
    const gate = Promise.withResolvers<void>()
    const bringBlob = world.bringBlob.bind(world)
    world.bringBlob = async (name, digest) => {
      if (slow.children.some((child) => child.digest === digest)) await gate.promise
      return await bringBlob(name, digest)
    }
    setRules({ repositories: 'apps/*' })
    await publish('apps/slow', '1', slow)
    keeper = start()
    await until('the slow one to be asked for', () => world.asked.includes(slow.digest))
    const quick = newImage()
    await publish('apps/quick', '1', quick)
    await until('the quick one', () => isHeld(quick))
    expect(isHeld(slow)).toBe(false)
    gate.resolve()
    await until('the slow one', () => isHeld(slow))
  })

  it('lets others have their turn where images come slowly, in a sweep and after it, and goes on with these', async () => {
    const slow = Array.from({ length: 3 }, newImage)
    for (const [at, image] of slow.entries()) {
      await publish('apps/slow', `${at}`, image)
      for (const { digest } of image.children) world.dripping.add(digest)
    }
    const last = newImage()
    await publish('apps/that-is-last', '1', last)
    setRules({ repositories: 'apps/*' })
    keeper = start()
    await minutes('what is looked at last', () => isHeld(last))
    const news = newImage()
    await publish('apps/news', '1', news)
    await minutes('what came meanwhile', () => isHeld(news))
    for (const { children } of slow)
      for (const { digest } of children) await until('it to be wanted', () => keeper.isWanted(digest))

    world.dripping.clear()
    await minutes('the slow ones', () => isHeld(...slow))
  })

  it('looks for what another rule matches while an image comes slowly', async () => {
    const [slow, other] = [newImage(), newImage()]
    await publish('apps/slow', '1', slow)
    await publish('late/web', '1', other)
    for (const { digest } of slow.children) world.dripping.add(digest)
    setRules({ repositories: 'apps/*' })
    keeper = start()
    await clock.untilAsleep(60_000)
    setRules({ repositories: 'apps/*' }, { repositories: 'late/*' })
    await minutes('the other', () => isHeld(other))
  })

  it('brings a signature that comes after its image, also one of a child, and not one of an image that is not here', async () => {
    setRules({ repositories: 'apps/*' })
    keeper = start()
    const child = newImage()
    const index = makeIndex([{ ...child, platform: { os: 'linux', architecture: 'arm64' } }])
    await publish('apps/web', '1', index)
    await until('the image', () => isHeld(index))
    const signature = makeImage([makeBlob('signature')], { subject: child })
    const stray = makeImage([makeBlob('stray')], { subject: newImage(), seed: 'stray' })
    world.add(signature, stray)
    await book.ledger.publish([manifestChange('apps/web', stray), manifestChange('apps/web', signature)])
    await until('the signature', () => isHeld(signature))
    expect(heldOf(stray)).toEqual([])
  })

  it('brings what comes later with a tag beside an image that is here, which no rule names', async () => {
    setRules({ repositories: 'apps/*', tags: 'v*' })
    keeper = start()
    const image = newImage()
    await publish('apps/web', 'v1', image)
    await until('the image', () => isHeld(image))
    const [, sig = ''] = siblingTags(image.digest)
    const [, straySig = ''] = siblingTags(newImage().digest)
    const [signature, stray] = [newImage(), newImage()]
    await publish('apps/web', straySig, stray)
    await publish('apps/web', sig, signature)
    await until('the signature', () => isHeld(signature))
    expect(heldOf(stray)).toEqual([])
  })

  it('tries again what it could not have: after a pause, and at once when a member joins', async () => {
    world.isCut = true
    setRules({ repositories: 'apps/*' })
    const [first, second] = [newImage(), newImage()]
    await publish('apps/web', '1', first)
    keeper = start()
    await until('it to be asked for', () => world.asked.length === 1)
    await clock.pass(1_900)
    expect(world.asked).toHaveLength(1)
    await clock.pass(200)
    await until('it to be asked for again', () => world.asked.length === 2)
    await clock.pass(3_900)
    expect(world.asked).toHaveLength(2)
    world.isCut = false
    for (const listener of joinListeners) listener()
    await clock.pass(0)
    await clock.pass(501)
    await until('the image', () => isHeld(first))
    await publish('apps/web', '2', second)
    await until('the next one', () => isHeld(second))
  })

  it('asks nobody while nobody is there', async () => {
    hasMembers = false
    setRules({ repositories: 'apps/*' })
    const image = newImage()
    await publish('apps/web', '1', image)
    keeper = start()
    await until('it to be missed', () => keeper.isWanted(image.digest))
    expect(world.asked).toEqual([])
    hasMembers = true
    for (const listener of joinListeners) listener()
    await clock.pass(501)
    await until('the image', () => isHeld(image))
  })

  it('knows which blobs it still wants', async () => {
    const image = newImage()
    const [config, layer] = image.children
    if (config === undefined || layer === undefined) throw new Error('an image has both')
    world.lost.add(layer.digest)
    setRules({ repositories: 'apps/*' })
    await publish('apps/web', '1', image)
    keeper = start()
    await until('the layer to be wanted', () => keeper.isWanted(layer.digest))
    expect(keeper.isWanted(config.digest)).toBe(false)
    world.lost.clear()
    await clock.pass(2_001)
    await until('it to be here', () => isHeld(image))
    await until('it to be wanted no more', () => !keeper.isWanted(layer.digest))
  })

  it('gives up a tag that was deleted', async () => {
    world.isCut = true
    setRules({ repositories: 'apps/*' })
    const image = newImage()
    await publish('apps/web', '1', image)
    keeper = start()
    await until('it to be wanted', () => keeper.isWanted(image.digest))
    await book.ledger.publish([{ kind: 'tag', repository, tag: parseTag('1'), value: undefined }])
    await until('it to be given up', () => !keeper.isWanted(image.digest))
  })

  it('finds at its next look at everything what went away', async () => {
    setRules({ repositories: 'apps/*' })
    const image = newImage()
    await publish('apps/web', '1', image)
    keeper = start()
    await until('the image', () => isHeld(image))
    world.held.delete(image.children[1]?.digest ?? image.digest)
    await clock.pass(15 * 60_000 + 1)
    await until('the image again', () => isHeld(image))
  })

  it('holds more images than it can remember, by looking again', async () => {
    world.isCut = true
    setRules({ repositories: 'apps/*' })
    const images = Array.from({ length: 1_200 }, (_, at) => makeImage([], { seed: `many ${at}` }))
    world.add(...images)
    await book.ledger.publish(
      images.flatMap((image, at): Change[] => {
        const { digest, mediaType, size } = image
        const value = { digest, mediaType, size }
        return [
          manifestChange('apps/web', image),
          { kind: 'tag', repository, tag: parseTag(`t${at}`), value },
        ]
      }),
    )
    keeper = start()
    await until('all to be asked for', () => new Set(world.asked).size === images.length)
    world.isCut = false
    await clock.pass(2_001)
    await until('all of them', () => isHeld(...images))
  })

  it('holds its share of a shared rule, and takes over when the shares change', async () => {
    const [ours, others] = [newImage(), newImage()]
    isOurs = (digest) => digest === ours.digest
    setRules({ repositories: 'apps/*', isShared: true })
    await publish('apps/web', '1', ours)
    await publish('apps/web', '2', others)
    keeper = start()
    const signature = makeImage([makeBlob('signature')], { subject: ours })
    await until('its own', () => isHeld(ours))
    world.add(signature)
    await book.ledger.publish([manifestChange('apps/web', signature)])
    await until('what refers to it', () => isHeld(signature))
    expect(heldOf(others)).toEqual([])
    const { signal } = new AbortController()
    const [rule] = rules
    if (rule === undefined) throw new Error('there is one')
    const survey = await surveyRule(rule, book.ledger, world, {
      signal,
      isOurs: (_, digest) => isOurs(digest),
    })
    expect(survey).toMatchObject({ images: 2, others: 1, complete: 1, missing: [] })
    isOurs = () => true
    for (const listener of shareListeners) listener()
    await until('the other one', () => isHeld(others))
  })

  it('has a tag of a mirrored repository refreshed from time to time, and brings what it points to then', async () => {
    const [first, second] = [newImage(), newImage()]
    world.add(first, second)
    const point = async ({ digest, mediaType, size }: Made): Promise<void> => {
      const value = { digest, mediaType, size, checkedMs: clock.now() }
      await book.ledger.publish([
        manifestChange('docker.io/library/alpine', { ...first, digest, mediaType, size }),
        { kind: 'tag', repository: parseRepository('docker.io/library/alpine'), tag: parseTag('3'), value },
      ])
    }
    setRules({ repositories: 'docker.io/**' })
    await point(first)
    keeper = start()
    await until('the image', () => isHeld(first))
    expect(world.refreshed).toEqual(['docker.io/library/alpine:3'])
    world.onRefresh = () => point(second)
    await clock.pass(60_001)
    await until('the next one', () => isHeld(second))
    world.onRefresh = () => Promise.reject(new OciError('UNAVAILABLE', 'the upstream is away'))
    await clock.pass(60_001)
    await until('another attempt', () => world.refreshed.length > 2)
    expect(isHeld(second)).toBe(true)
  })

  it('says of each rule what is complete, what is missing, and since when', async () => {
    const [whole, half] = [newImage(), newImage()]
    await publish('apps/web', '1', whole)
    await publish('apps/web', '2', half)
    world.hold(...closureOf(whole), half)
    const rule = createRule({ repositories: 'apps/*' })
    const survey = await surveyRule(rule, book.ledger, world, { signal: new AbortController().signal })
    const missingBytes = half.children.reduce((sum, { size }) => sum + size, 0)
    expect(survey).toMatchObject({ images: 2, complete: 1, missingBytes, missingSinceMs: clock.now() })
    expect(survey.missing).toEqual([
      { name: 'apps/web:2', digest: half.digest, parts: half.children.length, sinceMs: clock.now() },
    ])
  })

  it('stops while it fetches', async () => {
    setRules({ repositories: 'apps/*' })
    await publish('apps/web', '1', newImage())
    world.bringManifest = async (_repository, _digest, options?: { signal: AbortSignal }) =>
      new Promise((_, reject) =>
        options?.signal.addEventListener('abort', () => reject(options.signal.reason)),
      )
    const stopping = start()
    await stopping[Symbol.asyncDispose]()
  })
})
