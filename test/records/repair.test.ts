import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { noMetrics, silentLogger } from '../../src/base/base.ts'
import { messages } from '../../src/records/reconcile-messages.ts'
import {
  answerReconciliation,
  type Ledger,
  MembersTime,
  openRepair,
  type Repair,
  reconcile,
} from '../../src/records/records.ts'
import { type Channel, channelPair } from '../../src/wire/wire.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'
import { alice, fingerprintsOf, signedTags, testLedger } from './fixture.ts'

let stack: AsyncDisposableStack
let clock: SteppedClock
let penalised: string[]
beforeEach(() => {
  stack = new AsyncDisposableStack()
  clock = new SteppedClock()
  penalised = []
})
afterEach(async () => {
  await stack.disposeAsync()
})

const patienceMs = 3_000
const hello = {
  type: 'hello',
  version: 1,
  now: 0,
  total: 5,
  root: new Uint8Array(32),
  policy: new Uint8Array(),
} as const

async function openLedgerWith(count: number): Promise<Ledger> {
  const { ledger } = stack.use(await testLedger())
  await ledger.apply(signedTags(alice, count))
  return ledger
}

/** Repair of a ledger among these peers, each told how to take a channel that was opened to it. */
function repairOf(
  ledger: Ledger,
  peers: Record<string, (channel: Channel) => void> = {},
  onReconciled: () => void = () => undefined,
): Repair {
  return stack.use(
    openRepair({
      ledger,
      peers: {
        self: '',
        peers: () => Object.keys(peers),
        onJoin: () => () => undefined,
        async open(peer) {
          const { a, b } = channelPair()
          peers[peer]?.(b)
          return a
        },
        isNamed: () => false,
        penalise: (peer) => penalised.push(peer),
      },
      time: new MembersTime(clock, clock),
      clock,
      steady: clock,
      random: () => 0.5,
      onReconciled,
      logger: silentLogger,
      metrics: noMetrics,
    }),
  )
}

async function isSame(a: Ledger, b: Ledger): Promise<boolean> {
  return Buffer.compare((await fingerprintsOf(a)).of(''), (await fingerprintsOf(b)).of('')) === 0
}

describe('repair', () => {
  it('says of a conversation that ended well that it did, and not of one that broke off', async () => {
    const [ledger, other] = [await openLedgerWith(5), await openLedgerWith(0)]
    let ended = 0
    const repair = repairOf(ledger, {}, () => ended++)
    const { signal } = new AbortController()
    const [broken, whole] = [channelPair(), channelPair()]
    const breaking = repair.answer(broken.b, 'broken', { signal })
    await broken.a.send(messages.encode({ ...hello, now: clock.now() }))
    broken.a.abort(new Error('it leaves'))
    await breaking
    expect(ended).toBe(0)
    await Promise.all([repair.answer(whole.b, 'honest', { signal }), reconcile(whole.a, other, { clock })])
    expect(ended).toBe(1)
  })

  it.each([1, 4, 10])(
    'answers a member while %i others hold their conversations and say nothing',
    async (count) => {
      const [ledger, other] = [await openLedgerWith(50), await openLedgerWith(0)]
      const repair = repairOf(ledger)
      const { signal } = new AbortController()
      for (let n = 0; n < count; n++) {
        const { a, b } = channelPair()
        const held = repair.answer(b, `idle${n}`, { signal })
        await a.send(messages.encode({ ...hello, now: clock.now() }))
        if (n > 0) {
          await clock.untilAsleep(patienceMs)
          clock.advance(patienceMs)
        }
        await a.receive()
        held.catch(() => undefined)
      }
      const { a, b } = channelPair()
      const answering = repair.answer(b, 'honest', { signal })
      const reconciling = reconcile(a, other, { clock })
      await clock.untilAsleep(patienceMs)
      clock.advance(patienceMs)
      await Promise.all([answering, reconciling])
      expect(await isSame(ledger, other)).toBe(true)
    },
  )

  it('answers one member at a time while each gets somewhere', async () => {
    const ledger = await openLedgerWith(50)
    const repair = repairOf(ledger)
    const { signal } = new AbortController()
    const others = [await openLedgerWith(0), await openLedgerWith(0), await openLedgerWith(0)]
    await Promise.all(
      others.flatMap((other, n) => {
        const { a, b } = channelPair()
        return [repair.answer(b, `honest${n}`, { signal }), reconcile(a, other, { clock })]
      }),
    )
    for (const other of others) expect(await isSame(ledger, other)).toBe(true)
    expect(penalised).toEqual([])
  })

  it('turns to others, too, while a member breaks off each time that it is asked again', async () => {
    const peers: Record<string, (channel: Channel) => void> = { rude: (channel) => void channel.close() }
    repairOf(await openLedgerWith(0), peers)
    let isAsked = false
    peers.honest = () => {
      isAsked = true
    }
    for (let round = 0; round < 10 && !isAsked; round++) {
      await clock.untilAsleep(1_000)
      clock.advance(1_000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(isAsked).toBe(true)
  })

  it('is not held up by members that take its questions and answer none', async () => {
    const [ledger, other] = [await openLedgerWith(0), await openLedgerWith(50)]
    const done = Promise.withResolvers<void>()
    const silent = (): void => undefined
    repairOf(ledger, {
      silent,
      mute: silent,
      honest: (channel) =>
        void answerReconciliation(channel, other, { clock }).then(() => done.resolve(), done.reject),
    })
    await clock.untilAsleep(patienceMs)
    clock.advance(patienceMs)
    await clock.untilAsleep(patienceMs)
    clock.advance(patienceMs)
    await done.promise
  })
})
