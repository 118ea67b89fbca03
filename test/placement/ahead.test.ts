import { expect, it } from 'vitest'
import { unlessAborted } from '../../src/base/base.ts'
import { type Digest, digestBytes, OciError, parseRepository, type Repository } from '../../src/oci/oci.ts'
import { Ahead } from '../../src/placement/ahead.ts'
import { AheadIntake } from '../../src/placement/ahead-intake.ts'
import { type Offer, Owners } from '../../src/placement/owners.ts'
import { Roster } from '../../src/placement/roster.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'

const repository = parseRepository('team/app')
const { signal } = new AbortController()
const gib = 2 ** 30
const hour = 3_600_000
const digestOf = (name: string): Digest => digestBytes(Buffer.from(name))
const offers: Offer[] = Array.from({ length: 8 }, (_, at) => ({ peer: `peer-${at}`, room: 10 }))

function scene({ room = 10, copies = 2 } = {}) {
  const clock = { nowMs: 0, now: () => clock.nowMs, sleep: () => new Promise<void>(() => undefined) }
  const roster = new Roster({ peer: 'self', room }, [], 0)
  roster.see(offers, 0)
  const asked: { peer: string; digest: Digest | undefined }[] = []
  const told: string[] = []
  const readied: string[] = []
  let drawn = 0
  const options = {
    self: 'self',
    roster,
    copiesOf: () => copies,
    isMirrored: (name: Repository) => name.startsWith('docker.io/'),
    random: () => drawn++ / 1_000,
    clock,
    mayPush: (peer: string) => peer !== 'reader',
    isNamed: async ({ digest }: { digest: Digest }) => digest === digestOf('named'),
    cameOf: () => 0,
    getReady: (peer = 'self') => void readied.push(peer),
    onFailure: () => undefined,
    signal,
  }
  const ahead = new Ahead({
    ...options,
    peers: {
      ask: async (peer, { mode, images }) => {
        if (mode === 'ready') told.push(peer)
        else asked.push({ peer, digest: images[0]?.digest })
        return ['coming']
      },
    },
  })
  return { clock, roster, asked, told, readied, ahead, options }
}

it('sends the blobs of one push to the same members, who own what is ranked by its home', async () => {
  const { ahead, asked } = scene()
  for (const name of ['one', 'two', 'three']) await ahead.send(repository, digestOf(name), gib)
  const home = ahead.take(repository)
  if (home === undefined) throw new Error('no home')
  const owners = new Owners([...offers, { peer: 'self', room: 10 }]).rank(home).slice(0, 2)
  const others = owners.filter((peer) => peer !== 'self')
  expect(new Set(asked.map(({ peer }) => peer))).toEqual(new Set(others))
  expect(asked).toHaveLength(3 * others.length)
  // The next push has a home of its own, or all of a repository would be at two members.
  expect(ahead.take(repository)).toBeUndefined()
  await ahead.send(repository, digestOf('four'), gib)
  expect(ahead.take(repository)).not.toBe(home)
})

it('spreads pushes over all members', async () => {
  const { ahead, asked } = scene()
  for (let push = 0; push < 200; push++) {
    await ahead.send(repository, digestOf(`blob ${push}`), gib)
    ahead.take(repository)
  }
  const counts = Map.groupBy(asked, ({ peer }) => peer)
  for (const { peer } of offers) expect(counts.get(peer)?.length).toBeGreaterThan(20)
})

it('leaves what is small, broken off, or to be nowhere else', async () => {
  const { ahead, asked, clock } = scene()
  await ahead.send(repository, digestOf('small'), 1_000)
  expect([asked.length, ahead.take(repository)]).toEqual([0, undefined])
  await ahead.send(repository, digestOf('large'), gib)
  clock.nowMs += 2 * hour
  expect(ahead.take(repository)).toBeUndefined()
  const alone = scene({ copies: 1 })
  await alone.ahead.send(repository, digestOf('large'), gib)
  expect(alone.asked).toEqual([])
})

it('has who is going to own it get ready as soon as a push begins, and tells none of them twice', async () => {
  const { ahead, asked, told, readied, clock } = scene()
  for (let upload = 0; upload < 5; upload++) await ahead.begin(repository)
  await ahead.send(repository, digestOf('one'), gib)
  expect(told).toEqual(asked.map(({ peer }) => peer))
  expect(readied).toEqual(['self'])
  for (let push = 0; push < 100; push++) {
    ahead.take(repository)
    await ahead.begin(repository)
  }
  expect(told.toSorted()).toEqual(offers.map(({ peer }) => peer))
  clock.nowMs += hour
  await ahead.begin(repository)
  expect(told.length).toBeGreaterThan(offers.length)
})

it('draws a home for what is sent, not for a push that only begins', async () => {
  const { ahead } = scene()
  await ahead.begin(repository)
  await ahead.send(repository, digestOf('small'), 1_000)
  expect(ahead.take(repository)).toBeUndefined()
})

it('gets ready for a push that it may be sent blobs of', () => {
  const home = { repository, digest: digestOf('home') }
  const answer = ({ options, readied }: ReturnType<typeof scene>, asked = home) => [
    new AheadIntake({ ...options, bringPart: async () => gib }).ready(asked, 'pusher'),
    readied,
  ]
  expect(answer(scene())).toEqual(['coming', ['pusher']])
  expect(answer(scene({ copies: 1 }))).toEqual(['refused', []])
  expect(answer(scene({ room: 0 }))).toEqual(['refused', []])
  expect(answer(scene(), { ...home, repository: parseRepository('docker.io/library/alpine') })).toEqual([
    'refused',
    [],
  ])
})

it('brings what no record names within bounds that hold for all members together', async () => {
  const { options, clock } = scene()
  const brought: Digest[] = []
  const intake = new AheadIntake({
    ...options,
    bringPart: async (_, digest) => {
      brought.push(digest)
      return 20 * gib
    },
  })
  const ask = async (name: string, peer: string) => {
    const answer = intake.ahead({ repository, digest: digestOf(name) }, peer)
    await new Promise((resolve) => setImmediate(resolve))
    return answer
  }
  expect([await ask('one', 'peer-0'), await ask('two', 'peer-1')]).toEqual(['coming', 'coming'])
  expect(await ask('three', 'peer-2')).toBe('refused')
  clock.nowMs += hour
  expect(await ask('three', 'peer-2')).toBe('coming')
  expect(brought).toEqual(['one', 'two', 'three'].map(digestOf))
})

it('brings no more than that of many that it is asked for at once', async () => {
  const { options } = scene()
  const brought: Digest[] = []
  const intake = new AheadIntake({
    ...options,
    bringPart: async (_, digest) => {
      brought.push(digest)
      return 20 * gib
    },
  })
  for (let at = 0; at < 64; at++) intake.ahead({ repository, digest: digestOf(`blob ${at}`) }, `peer-${at}`)
  await new Promise((resolve) => setImmediate(resolve))
  // Those that are brought at the same time know nothing of each other's size.
  expect(brought.length).toBeLessThanOrEqual(5)
})

it('brings nothing that an upstream would be asked for, that is to be nowhere else, or that it has no room for', () => {
  const bringPart = async () => gib
  const mirrored = { repository: parseRepository('docker.io/library/alpine'), digest: digestOf('one') }
  const pushed = { repository, digest: digestOf('one') }
  const answer = ({ options }: ReturnType<typeof scene>, blob: typeof pushed) =>
    new AheadIntake({ ...options, bringPart }).ahead(blob, 'peer-0')
  expect(answer(scene(), pushed)).toBe('coming')
  expect(answer(scene(), mirrored)).toBe('refused')
  expect(answer(scene({ copies: 1 }), pushed)).toBe('refused')
  expect(answer(scene({ room: 0 }), pushed)).toBe('refused')
})

it('brings what a record names for a member that reaches nobody who has it, and nothing else', async () => {
  const { options } = scene()
  const given = new Set([digestOf('named')])
  let fails = false
  const intake = new AheadIntake({
    ...options,
    bringPart: async (_, digest) => {
      if (fails) throw new OciError('UNAVAILABLE', 'nobody who has it can be reached')
      return given.has(digest) ? gib : undefined
    },
  })
  const ask = (name: string) =>
    intake.through({ repository, digest: digestOf(name) }, 'peer-0', { withinMs: 1_000, signal })
  expect([await ask('named'), await ask('unnamed')]).toEqual(['held', 'refused'])
  given.clear()
  expect(await ask('named')).toBe('missing')
  fails = true
  expect(await ask('named')).toBe('missing')
})

it('brings for others while any number of members ask for much that comes slowly', async () => {
  const { options } = scene()
  const clock = new SteppedClock()
  const slow = new Set(
    ['peer-0', 'peer-1', 'peer-2'].flatMap((peer) => [0, 1, 2, 3].map((at) => `${peer} ${at}`)),
  )
  const intake = new AheadIntake({
    ...options,
    clock,
    bringPart: async (_, digest, { signal: turn }) =>
      digest === digestOf('named') ? gib : await unlessAborted(new Promise(() => undefined), turn),
  })
  for (const name of slow) {
    const blob = { repository, digest: digestOf(name) }
    expect(intake.ahead(blob, name.slice(0, 6))).toBe('coming')
  }
  const named = { repository, digest: digestOf('named') }
  const bringing = intake.through(named, 'peer-3', { withinMs: 3_600_000, signal })
  for (let minutes = 0; minutes < 3; minutes++) {
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(60_000)
  }
  expect(await bringing).toBe('held')
})

it('takes no more of one member than a part of what may wait', async () => {
  const { options } = scene()
  const intake = new AheadIntake({ ...options, bringPart: () => new Promise(() => undefined) })
  const blobs = Array.from({ length: 64 }, (_, at) => ({ repository, digest: digestOf(`slow ${at}`) }))
  const count = (peer: string) =>
    blobs.map((blob) => intake.ahead(blob, peer)).filter((answer) => answer === 'coming').length
  expect([count('peer-0'), count('peer-1')]).toEqual([32, 32])
})

it('has room for another member however many keys wait, and for none that asks for more than they', async () => {
  const { options } = scene()
  const brought: Digest[] = []
  const slow = Promise.withResolvers<number>()
  const intake = new AheadIntake({
    ...options,
    random: () => 0.5,
    bringPart: (_, digest) => {
      brought.push(digest)
      return slow.promise
    },
  })
  const ask = (name: string, peer: string) => intake.ahead({ repository, digest: digestOf(name) }, peer)
  for (let key = 0; key < 256; key++) expect(ask(`of key ${key}`, `key-${key}`)).toBe('coming')
  expect(ask('another of the first', 'key-0')).toBe('refused')
  expect(ask('pushed', 'peer-0')).toBe('coming')
  slow.resolve(1)
  await expect.poll(() => brought.length).toBe(256)
  expect(brought).toContain(digestOf('pushed'))

  const greedy = new AheadIntake({
    ...options,
    random: () => 0,
    bringPart: () => new Promise(() => undefined),
  })
  const of = (at: number) => ({ repository, digest: digestOf(`${at}`) })
  for (let at = 0; at < 256; at++) greedy.ahead(of(at), `greedy-${at >> 5}`)
  // Of those that wait most one gives way, until all wait alike.
  for (let at = 256; at < 256 + 29; at++) expect(greedy.ahead(of(at), 'peer-0')).toBe('coming')
  expect(greedy.ahead(of(300), 'peer-0')).toBe('refused')
})

it('brings nothing for who may not push there', () => {
  const { options, readied } = scene()
  const intake = new AheadIntake({ ...options, bringPart: async () => gib })
  const blob = { repository, digest: digestOf('one') }
  expect([intake.ready(blob, 'reader'), intake.ahead(blob, 'reader')]).toEqual(['refused', 'refused'])
  expect(readied).toEqual([])
  expect(intake.ready(blob, 'peer-0')).toBe('coming')
})

it('counts what came of a blob that was not had in the end', async () => {
  const { options } = scene()
  const clock = new SteppedClock()
  let cameBytes = 0
  let fail: (error: Error) => void = () => undefined
  const intake = new AheadIntake({
    ...options,
    clock,
    cameOf: () => cameBytes,
    bringPart: () =>
      new Promise((_, reject) => {
        fail = reject
      }),
  })
  const ask = async (name: string) => {
    const answer = intake.ahead({ repository, digest: digestOf(name) }, 'peer-0')
    await new Promise((resolve) => setImmediate(resolve))
    return answer
  }
  expect(await ask('one')).toBe('coming')
  cameBytes = 40 * gib
  clock.advance(1_000)
  await new Promise((resolve) => setImmediate(resolve))
  fail(new OciError('UNAVAILABLE', 'nobody who has it can be reached'))
  await new Promise((resolve) => setImmediate(resolve))
  expect(await ask('two')).toBe('refused')
})
