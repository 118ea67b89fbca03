import { describe, expect, test } from 'vitest'
import {
  type BringAnswer,
  bringAnswer,
  bringProtocol,
  bringRequest,
  maxBringBytes,
} from '../../node/cluster/bring-messages.ts'
import { openOutside } from '../../node/cluster/outside.ts'
import { openReaching } from '../../node/cluster/reaching.ts'
import { silentLogger } from '../../src/base/base.ts'
import { digestBytes, parseRepository } from '../../src/oci/oci.ts'
import { rankMembers, type UpstreamTrouble, UpstreamUnavailableError } from '../../src/upstream/upstream.ts'
import { ChannelBrokenError, channelPair } from '../../src/wire/wire.ts'
import { FakeUpstream, upstreamsOf } from '../mirror/fake-upstream.ts'
import { SteppedClock } from '../mirror/stepped-clock.ts'

const repository = parseRepository('docker.io/library/alpine')
const self = 'self'
const others = ['ann', 'ben', 'eve']
/** One for which this node ranks last. */
const digest = Array.from({ length: 100 }, (_, number) => digestBytes(Buffer.from(`blob ${number}`))).find(
  (candidate) => rankMembers(candidate, [...others, self]).at(-1) === self,
)
if (digest === undefined) throw new Error('this node never ranks last')
const wanted = { repository, digest }
const ranked = rankMembers(digest, [...others, self])

/** What the exchange here is told by its own upstream; other members answer it as well. */
type Outcome = 'here' | 'absent' | 'gone' | 'silent' | UpstreamTrouble

function scene(outcomes: Partial<Record<string, Outcome>>, { isReached = true, hasBegun = false } = {}) {
  const clock = new SteppedClock()
  const asked: string[] = []
  const upstreams = upstreamsOf(...(isReached ? [new FakeUpstream()] : []))
  const answerOf = (outcome: Outcome): BringAnswer => {
    if (outcome === 'here' || outcome === 'absent') return { answer: outcome }
    const trouble = outcome === 'gone' || outcome === 'silent' ? 'unreachable' : outcome
    return { answer: 'failed', trouble, reason: `is ${trouble}` }
  }
  const outside = openOutside({
    wordFor: (name) => (name === 'docker.io' ? 'claim' : undefined),
    swarm: {
      peerId: self,
      members: { reaching: (name) => (name === 'docker.io' ? others : []) },
      open: async (peer, protocol) => {
        expect(protocol).toBe(bringProtocol)
        asked.push(peer)
        const outcome = outcomes[peer] ?? 'here'
        if (outcome === 'gone') throw new ChannelBrokenError(`${peer} is gone`)
        const { a, b } = channelPair({ maxFrameBytes: maxBringBytes })
        const serve = async (): Promise<void> => {
          const request = await b.receive()
          expect(request && bringRequest.decode(request)).toEqual(wanted)
          await b.send(bringAnswer.encode({ answer: 'coming' }))
          if (outcome !== 'silent') await b.send(bringAnswer.encode(answerOf(outcome)))
        }
        serve().catch((error: unknown) => a.abort(error instanceof Error ? error : new Error(String(error))))
        return a
      },
    },
    upstreams,
    reaching: openReaching(upstreams, clock),
    clock,
    logger: silentLogger,
  })
  const bring = (): Promise<boolean> =>
    outside.bring(wanted, {
      signal: new AbortController().signal,
      hasBegun: () => hasBegun,
      onProgress: () => undefined,
      lead: async () => {
        asked.push(self)
        const outcome = outcomes[self] ?? 'here'
        if (outcome === 'here' || outcome === 'absent') return outcome === 'here'
        throw new UpstreamUnavailableError('docker.io', 'unreachable', 'is away')
      },
    })
  return { outside, asked, bring, clock }
}

const [first = '', second = '', third = ''] = ranked

describe('bringing a blob from outside', () => {
  test('is asked of the member that ranks first, and of no other', async () => {
    const { bring, asked } = scene({})
    expect(await bring()).toBe(true)
    expect(asked).toEqual([first])
  })

  test.each<Outcome>(['unreachable', 'refused', 'gone'])(
    'is asked of the next when one is %s',
    async (outcome) => {
      const { bring, asked } = scene({ [first]: outcome })
      expect(await bring()).toBe(true)
      expect(asked).toEqual([first, second])
    },
  )

  test('is not asked of a member that does not reach the upstream', async () => {
    const { bring, asked } = scene(Object.fromEntries(others.map((peer) => [peer, 'gone'])), {
      isReached: false,
    })
    await expect(bring()).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE' })
    expect(asked).toEqual(ranked.filter((peer) => peer !== self))
  })

  test('ends when the upstream asks to wait: another member would only add to it', async () => {
    const { bring, asked } = scene({ [first]: 'paused' })
    await expect(bring()).rejects.toMatchObject({ trouble: 'paused', reason: 'is paused' })
    expect(asked).toEqual([first])
  })

  test('is over when two say that there is no such blob', async () => {
    const { bring, asked } = scene({ [first]: 'absent', [second]: 'absent' })
    expect(await bring()).toBe(false)
    expect(asked).toEqual([first, second])
    const one = scene({ [first]: 'absent' })
    expect(await one.bring()).toBe(true)
  })

  test('fails with the last reason when all have failed and nothing has come', async () => {
    const { bring, asked } = scene(Object.fromEntries(ranked.map((peer) => [peer, 'unreachable'])))
    await expect(bring()).rejects.toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', trouble: 'unreachable' })
    expect(asked).toEqual(ranked)
  })

  test('goes on and on when something has come', async () => {
    const outcomes: Partial<Record<string, Outcome>> = Object.fromEntries(
      ranked.map((peer) => [peer, 'gone']),
    )
    const { bring, asked, clock } = scene(outcomes, { hasBegun: true })
    const bringing = bring()
    await clock.untilAsleep(1000)
    outcomes[first] = 'here'
    clock.advance(1000)
    expect(await bringing).toBe(true)
    expect(asked).toEqual([...ranked, first])
  })

  test('fails in time when whoever is asked says nothing of worth', async () => {
    const { bring, clock } = scene({ [first]: 'silent', [second]: 'silent', [third]: 'silent' })
    const bringing = bring()
    await clock.untilAsleep(4500)
    clock.advance(4500)
    await expect(bringing).rejects.toThrow('docker.io does not answer')
  })

  test('is for repositories of upstreams that are configured, or that a member reaches', () => {
    const { outside } = scene({}, { isReached: false })
    expect(outside.has(repository)).toBe(true)
    expect(outside.has(parseRepository('quay.io/team/app'))).toBe(false)
    expect(outside.has(parseRepository('team/app'))).toBe(false)
    expect(outside.has(parseRepository('app'))).toBe(false)
  })
})
