/** A name that is unknown here, asked of members: some answer with more than that, and some with nothing. */
import { describe, expect, it } from 'vitest'
import { createAsker } from '../../../node/cluster/asker.ts'
import { silentLogger, steadyClock } from '../../../src/base/base.ts'
import { parseRepository, parseTag } from '../../../src/oci/oci.ts'
import { signRecord } from '../../../src/records/record.ts'
import type { Ledger } from '../../../src/records/records.ts'
import type { MemberEvent, Swarm } from '../../../src/swarm/swarm.ts'
import { bytes, channelPair, codec, list, literal, struct } from '../../../src/wire/wire.ts'
import { manifestRecords, tagRecords } from '../../hostile/records.ts'
import { SteppedClock } from '../../mirror/stepped-clock.ts'
import { bob, digestOf, identity, ManualClock, mediaType, testLedger } from '../../records/fixture.ts'

const answers = codec(
  struct({ type: literal('answer'), records: list(bytes({ max: 65_536 }), { max: 64 }) }),
  { maxBytes: 262_144 },
)

/** Of one member, which answers the first question with these. */
function swarmOf(records: Uint8Array[]): Swarm {
  const open = async () => {
    const { a, b } = channelPair()
    void b.receive().then(() => b.send(answers.encode({ type: 'answer', records })))
    return a
  }
  return {
    members: { peers: () => ['member'], missing: async () => [] },
    open,
    penalise: () => undefined,
  } as unknown as Swarm
}

it('takes what it asked for whatever others write, and of the rest no more than they may', async () => {
  const clock = new ManualClock()
  const options = { ms: clock.ms }
  await using node = await testLedger({ clock })
  const flood = Array.from({ length: 320 }, (_, n) => manifestRecords(identity(1000 + n), 1, options)).flat()
  await node.ledger.apply(flood)
  const manifest = signRecord(
    {
      kind: 'manifest',
      key: `hostile/tags@${digestOf('hostile')}`,
      time: [clock.ms, 0],
      value: { mediaType, size: 7, annotations: { long: 'x'.repeat(60_000) } },
    },
    bob,
  )
  const asked = [...tagRecords(bob, 1, options), manifest.envelope.bytes]
  const unasked = manifestRecords(bob, 2, { ...options, repository: 'hostile/tags' })
  const asker = createAsker(node.ledger, swarmOf([...asked, ...unasked]), steadyClock, silentLogger)
  const repository = parseRepository('hostile/tags')
  await asker.ask({ kind: 'tag', repository, tag: parseTag('t0') }, 'hostile/tags:t0')
  expect(await node.ledger.findTag(repository, parseTag('t0'))).toMatchObject({ digest: digestOf('hostile') })
  expect(await node.ledger.listManifests(repository, { limit: 10 })).toMatchObject([
    { digest: digestOf('hostile') },
  ])
})

type Manner = 'knows it' | 'does not know it' | 'is silent'

/** Members that answer in their manner, which may change, and how long it takes to be told what they know of a name. */
function ground(manners: Manner[], { missing = 0 } = {}) {
  const clock = new SteppedClock()
  const joins = new Set<(event: MemberEvent) => void>()
  const record = tagRecords(bob, 1, { ms: 0 })
  const open = async (peer: string) => {
    const { a, b } = channelPair()
    const answer = async (): Promise<void> => {
      while ((await b.receive()) !== undefined) {
        const manner = manners[Number(peer)]
        if (manner === 'is silent') return
        await b.send(answers.encode({ type: 'answer', records: manner === 'knows it' ? record : [] }))
      }
    }
    void answer()
    return a
  }
  const members = {
    peers: () => manners.map((_, n) => `${n}`),
    missing: async () => Array.from({ length: missing }, (_, n) => ({ peer: `missing ${n}`, addresses: [] })),
    onChange(listener: (event: MemberEvent) => void) {
      joins.add(listener)
      return () => joins.delete(listener)
    },
  }
  const swarm = { members, open } as unknown as Swarm
  const names = { onChange: () => () => undefined, apply: async () => ({}) } as unknown as Ledger
  const asker = createAsker(names, swarm, clock, silentLogger)
  let asked = 0
  return {
    clock,
    joins,
    join(manner: Manner) {
      manners.push(manner)
      for (const joined of joins) joined({ kind: 'join', peer: `${manners.length - 1}` })
    },
    async ask() {
      const tag = parseTag(`t${++asked}`)
      const repository = parseRepository('team/app')
      let isOver = false
      const asking = asker.ask({ kind: 'tag', repository, tag }, `team/app:${tag}`).finally(() => {
        isOver = true
      })
      for (let ms = 0; ; ms += 20) {
        // Nothing here takes longer than that, but for the clock.
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
        if (isOver) return { asked: await asking, ms }
        clock.advance(20)
      }
    },
  }
}

describe('a name that is unknown here', () => {
  it("is known to be nobody's as soon as all have said so", async () => {
    const { ask } = ground(['does not know it', 'does not know it', 'does not know it'])
    expect(await ask()).toEqual({ asked: undefined, ms: 20 })
  })

  it("is waited for from a member that has always answered, and in vain not known to be nobody's", async () => {
    const manners: Manner[] = ['does not know it', 'does not know it']
    const { ask, clock } = ground(manners)
    await ask()
    manners[1] = 'is silent'
    expect(await ask()).toEqual({ asked: 'silence', ms: 3020 })
    // Whatever is silent then, that is not had again at once.
    for (let n = 0; n < 2; n++) {
      expect(await ask()).toEqual({ asked: 'silence', ms: 320 })
      clock.advance(3_000)
    }
    // It is as good as gone.
    expect(await ask()).toEqual({ asked: undefined, ms: 320 })
    manners[1] = 'does not know it'
    await ask()
    clock.advance(30_000)
    manners[1] = 'is silent'
    expect((await ask()).asked).toBe('silence')
  })

  it('is not known for a minute, and after it for a fifth of the time, however members are silent in turn', async () => {
    const manners: Manner[] = ['does not know it', 'does not know it']
    const { ask, clock } = ground(manners)
    const startMs = clock.now()
    let unsure = 0
    for (let n = 0; n < 600; n++) {
      manners[1] = n % 3 === 0 ? 'does not know it' : 'is silent'
      const { asked, ms } = await ask()
      if (asked === 'silence') unsure++
      clock.advance(Math.max(0, 1000 - ms))
    }
    const seconds = (clock.now() - startMs) / 1000
    expect(unsure).toBeGreaterThan(60)
    expect(unsure).toBeLessThan(60 + seconds / 4)
  })

  it('is not waited for from one that never answered, where another has', async () => {
    const { ask } = ground(['does not know it', 'is silent'])
    for (let n = 0; n < 3; n++) expect(await ask()).toEqual({ asked: undefined, ms: 320 })
  })

  it('is waited for where nobody answers, until they are as good as gone', async () => {
    const manners: Manner[] = ['is silent', 'is silent']
    const { ask } = ground(manners)
    for (let n = 0; n < 3; n++) expect(await ask()).toEqual({ asked: 'silence', ms: 3020 })
    expect(await ask()).toEqual({ asked: undefined, ms: 320 })
    manners[0] = 'knows it'
    expect((await ask()).ms).toBeLessThan(100)
  })

  it('is asked of the first member that a node meets after its start, which is waited for', async () => {
    const { ask, join, clock, joins } = ground([], { missing: 1 })
    const asking = ask()
    await clock.untilAsleep(5000)
    join('knows it')
    expect((await asking).asked).toBeUndefined()
    expect(joins.size).toBe(0)
  })

  it("is not known to be nobody's just after a start, by those alone that the node has met by then", async () => {
    const { ask, clock } = ground(['does not know it'], { missing: 1 })
    expect(await ask()).toEqual({ asked: 'silence', ms: 20 })
    clock.advance(5_000)
    expect(await ask()).toEqual({ asked: undefined, ms: 20 })
  })

  it("is nobody's on a node that has met nobody, once it had the time for it", async () => {
    const { ask, joins } = ground([], { missing: 1 })
    expect(await ask()).toEqual({ asked: undefined, ms: 5020 })
    expect(await ask()).toEqual({ asked: undefined, ms: 20 })
    expect(joins.size).toBe(0)
    expect(await ground([]).ask()).toEqual({ asked: undefined, ms: 20 })
  })
})
