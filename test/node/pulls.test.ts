/** When clients pulled what: noted here, kept over restarts, and asked of members. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { Level } from 'level'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { copyAnswers, copyQuestion } from '../../node/cluster/copies-channel.ts'
import { asksPulls } from '../../node/pull-inquiry.ts'
import { openPulls, type Pulls, type PullsOptions } from '../../node/pulls.ts'
import { createRequestTracer } from '../../node/requests/request-tracer.ts'
import { silentLogger } from '../../src/base/base.ts'
import { digestBytes, mediaTypes, parseRepository } from '../../src/oci/oci.ts'
import type { CopyAnswer, CopyQuestion, ImageName } from '../../src/placement/placement.ts'
import { openApi } from '../http/harness.ts'
import { ManualClock } from '../records/fixture.ts'

const dayMs = 24 * 3_600_000
const { signal } = new AbortController()
const repository = parseRepository('ci/app')
const imageOf = (name: string): ImageName => ({ repository, digest: digestBytes(Buffer.from(name)) })
const [a, b] = [imageOf('a'), imageOf('b')]

describe('pulls of this node', () => {
  let clock: ManualClock
  let path: string
  let db: Level
  let pulls: Pulls
  let live: (image: ImageName) => boolean

  beforeEach(async () => {
    clock = new ManualClock()
    live = () => true
    path = await mkdtemp(join(tmpdir(), 'shoal-pulls-'))
    await start({})
  })
  afterEach(async () => {
    await stop()
    await rm(path, { recursive: true })
  })

  async function start(options: Partial<PullsOptions>): Promise<void> {
    db = new Level(join(path, 'db'))
    const table = db.sublevel<string, number>('pulls', { keyEncoding: 'utf8', valueEncoding: 'json' })
    await table.open()
    const isLive = async (...[where, digest]: [ImageName['repository'], ImageName['digest']]) =>
      live({ repository: where, digest })
    pulls = await openPulls({ table, missesEarlier: false, isLive, clock, logger: silentLogger, ...options })
  }
  async function stop(): Promise<void> {
    await pulls[Symbol.asyncDispose]()
    await db.close()
  }
  const within = async (ms: number, images = [a, b]) =>
    await Promise.all(images.map((image) => pulls.wasPulled(image, ms)))
  const request = (pull: object) => pulls.listener({ pull: { ...a, ...pull } } as never)

  it('are what clients got of manifests, and neither blobs nor what was only asked about', async () => {
    request({ kind: 'blob' })
    pulls.listener({ pull: undefined } as never)
    expect(await within(dayMs)).toEqual([false, false])
    request({ kind: 'manifest' })
    expect(await within(dayMs)).toEqual([true, false])
    clock.ms += dayMs
    expect(await within(dayMs - 1)).toEqual([false, false])
    expect(await within(dayMs)).toEqual([true, false])
  })

  it('are told apart by HTTP: a GET by tag or digest is one, a HEAD and what is not there are none', async () => {
    await using api = await openApi({ tracer: createRequestTracer([pulls.listener], silentLogger) })
    const bytes = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }),
    )
    const digest = digestBytes(bytes)
    const at = (reference: string) => `/v2/ci/app/manifests/${reference}`
    const headers = { 'Content-Type': mediaTypes.ociIndex }
    await api.call('PUT', at('a'), { body: bytes, headers })
    const isPulled = async () => await pulls.wasPulled({ repository, digest }, 0)
    for (const [method, reference] of [
      ['HEAD', 'a'],
      ['HEAD', digest],
      ['GET', 'b'],
    ] as const)
      await api.call(method, at(reference))
    expect(await isPulled()).toBe(false)
    await api.call('GET', at(digest))
    await expect.poll(isPulled).toBe(true)
    clock.ms++
    expect(await isPulled()).toBe(false)
    await api.call('GET', at('a'))
    await expect.poll(isPulled).toBe(true)
  })

  it('outlive a restart, during which no time passes, whatever the clock says then', async () => {
    request({ kind: 'manifest' })
    clock.ms += dayMs
    await stop()
    clock.ms = 5
    await start({})
    expect(await within(dayMs)).toEqual([true, false])
    expect(await within(dayMs - 1)).toEqual([false, false])
  })

  it('count as just made where earlier ones are not known', async () => {
    await stop()
    await start({ missesEarlier: true })
    expect(await within(0)).toEqual([true, true])
    clock.ms += dayMs
    await stop()
    await start({})
    expect(await within(dayMs)).toEqual([true, true])
    expect(await within(dayMs - 1)).toEqual([false, false])
  })

  it('are forgotten by nobody for want of room, which makes all of them count', async () => {
    await stop()
    const batch = async () => {
      throw new Error('the disk is full')
    }
    await start({ table: { get: async () => undefined, batch, keys: () => Readable.from([]) } })
    pulls.note(a.repository, a.digest)
    expect(await within(0)).toEqual([true, false])
    for (let n = 0; n < 70_000; n++) pulls.note(a.repository, `sha256:${n}` as never)
    expect(await within(0)).toEqual([true, true])
  })

  it('of what there is no more leave the disk within a day', async () => {
    pulls.note(a.repository, a.digest)
    pulls.note(b.repository, b.digest)
    await pulls.flush()
    live = ({ digest }) => digest === a.digest
    await pulls.prune(signal)
    expect(await within(dayMs)).toEqual([true, false])
  })
})

describe('pulls anywhere', () => {
  const question = { mode: 'pulled', withinMs: 90 * dayMs }
  let asked: [peer: string, CopyQuestion][]
  let said: Record<string, (question: CopyQuestion) => CopyAnswer[]>
  let missing: string[]
  let clock: ManualClock

  beforeEach(() => {
    clock = new ManualClock()
    asked = []
    missing = []
    said = {
      one: ({ images }) => images.map(() => 'missing'),
      two: ({ images }) => images.map(() => 'missing'),
    }
  })

  const inquiry = (here: ImageName[] = []) =>
    asksPulls({
      pulls: { wasPulled: async (image) => here.includes(image) },
      peers: () => Object.keys(said),
      missing: async () => missing,
      ask: async (peer, question) => {
        asked.push([peer, question])
        return said[peer]?.(question) ?? []
      },
      clock,
    })
  const find = async (images: ImageName[], here: ImageName[] = []) =>
    await inquiry(here)(images, 90 * dayMs, { signal })

  it('keep nothing where every member says that there were none', async () => {
    expect(await find([a, b])).toEqual([undefined, undefined])
    expect(asked).toEqual([
      ['one', { ...question, images: [a, b] }],
      ['two', { ...question, images: [a, b] }],
    ])
  })

  it('are said of the node where they were, and not asked of others then', async () => {
    said.one = ({ images }) => images.map(() => 'held')
    expect(await find([a, b], [a])).toEqual(['pulled here within 90d', 'pulled at one within 90d'])
    expect(asked).toEqual([['one', { ...question, images: [b] }]])
  })

  it.each<[string, () => CopyAnswer[]]>([
    [
      'does not answer',
      () => {
        throw new Error('gone')
      },
    ],
    ['answers too little', () => ['missing']],
    ['answers too much', () => ['missing', 'missing', 'missing']],
    ['does not know', () => ['refused', 'refused']],
  ])('are not ruled out by a member that %s', async (_, answer) => {
    said.one = answer
    expect(await find([a, b])).toEqual(Array(2).fill('one does not say whether it was pulled there'))
  })

  it('are not ruled out while a member is away, which keeps others from being asked', async () => {
    missing = ['three']
    expect(await find([a, b], [b])).toEqual([
      'three is away and may know of a pull',
      'pulled here within 90d',
    ])
    expect(asked).toEqual([])
  })

  it('are asked of one that does not say once in a minute, however many repositories there are', async () => {
    said.one = () => []
    const findPulls = inquiry()
    const unsaid = ['one does not say whether it was pulled there']
    for (let repositories = 0; repositories < 3; repositories++)
      expect(await findPulls([a], 90 * dayMs, { signal })).toEqual(unsaid)
    expect(asked.length).toBe(1)
    clock.ms += 60_000
    said.one = () => ['missing']
    expect(await findPulls([a], 90 * dayMs, { signal })).toEqual([undefined])
  })

  it('keep what could not be asked about for the time that it takes', async () => {
    const images = Array.from({ length: 130 }, (_, n) => imageOf(`image ${n}`))
    said.one = ({ images }) => {
      clock.ms += 40_000
      return images.map(() => 'missing')
    }
    const findPulls = inquiry()
    const why = await findPulls(images, 90 * dayMs, { signal })
    expect(new Set(why)).toEqual(new Set(['members took too long to say whether it was pulled there']))
    expect(asked.length).toBe(2)
    // That is nobody's silence: the next that asks is not told so without a question.
    said.one = ({ images }) => images.map(() => 'missing')
    expect(await findPulls([a], 90 * dayMs, { signal })).toEqual([undefined])
  })

  it('are asked of in batches that a frame and an answer hold', async () => {
    const images = Array.from({ length: 130 }, (_, n) => imageOf(`image ${n}`))
    expect(await find(images)).toEqual(images.map(() => undefined))
    expect(asked.map(([peer, { images }]) => [peer, images.length])).toEqual(
      ['one', 'two'].flatMap((peer) => [
        [peer, 64],
        [peer, 64],
        [peer, 2],
      ]),
    )
    for (const [, one] of asked) {
      expect(copyQuestion.decode(copyQuestion.encode(one))).toEqual(one)
      const held = one.images.map((): CopyAnswer => 'missing')
      expect(copyAnswers.decode(copyAnswers.encode({ held })).held).toEqual(held)
    }
  })
})
