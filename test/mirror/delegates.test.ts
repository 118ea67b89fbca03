/** Questions about an upstream, put to members that are as they are. */
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/base.ts'
import { Checks } from '../../src/mirror/checks.ts'
import { Delegates } from '../../src/mirror/delegates.ts'
import {
  type Answer,
  type BlobQuestion,
  failure,
  fetched,
  type Question,
  questionName,
  type TagQuestion,
  type Trouble,
} from '../../src/mirror/messages.ts'
import type { MirrorPeers } from '../../src/mirror/mirror.ts'
import { ReferrerLists } from '../../src/mirror/referrer-lists.ts'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { rankMembers } from '../../src/upstream/upstream.ts'
import { digestOf } from '../records/fixture.ts'
import { SteppedClock } from './stepped-clock.ts'

const self = 'self'
const repository = parseRepository('docker.io/library/alpine')
const there: Answer = { answer: 'there', digest: digestOf('it'), ageMs: 0, records: [] }

/** What comes of asking a member; `silent` is one that works on it for ever, `gone` one that cannot be reached. */
type Outcome = 'there' | 'absent' | 'silent' | 'gone' | Trouble

interface Scene {
  others?: string[]
  isReached?: boolean
  outcomes?: Partial<Record<string, Outcome>>
  otherwise?: Outcome
}

/** Members that all say that they reach docker.io. */
function openScene({
  others = ['ann', 'ben', 'eve'],
  isReached = true,
  outcomes = {},
  otherwise = 'there',
}: Scene) {
  const clock = new SteppedClock()
  const asked: string[] = []
  const aborted: string[] = []
  /** Who was asked last, by question. */
  const last = new Map<string, string>()
  const answerBy = async (member: string, question: Question, signal: AbortSignal): Promise<Answer> => {
    asked.push(member)
    last.set(questionName(question), member)
    const outcome = outcomes[member] ?? otherwise
    if (outcome === 'gone') throw new Error(`${member} is gone`)
    if (outcome === 'silent')
      return await new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted.push(member)
          reject(signal.reason)
        })
      })
    if (outcome === 'absent') return { answer: 'absent' }
    if (outcome === 'there') return question.about === 'blob' ? fetched(question.digest) : there
    return failure(outcome, `is ${outcome}`)
  }
  const peers = {
    self,
    reaching: () => others,
    ask: (member: string, question: Question, { signal }: { signal: AbortSignal }) =>
      answerBy(member, question, signal),
    accept: async () => undefined,
  } as unknown as MirrorPeers
  const delegates = new Delegates({
    peers,
    reaching: { names: () => (isReached ? ['docker.io'] : []), noteFailure: () => undefined },
    isShared: () => isReached,
    answer: (question) => answerBy(self, question, new AbortController().signal),
    checks: new Checks(),
    lists: new ReferrerLists(),
    clock,
    logger: silentLogger,
  })
  const fetch = (
    question: BlobQuestion,
    { idleMs = () => undefined }: { idleMs?(): number | undefined } = {},
  ) =>
    delegates.fetch(question, {
      signal: new AbortController().signal,
      idleMs,
      answer: (signal) => answerBy(self, question, signal),
    })
  return { clock, asked, aborted, last, delegates, fetch, outcomes, others }
}

function tagQuestion(tag: string): TagQuestion {
  return { about: 'tag', repository, tag: parseTag(tag), maxAgeMs: 1000 }
}

/** One for which this node ranks last of those four, and who ranks before it. */
function lastRanked<Q extends Question>(make: (number: number) => Q): { question: Q; ranked: string[] } {
  for (let number = 0; ; number++) {
    const question = make(number)
    const ranked = rankMembers(questionName(question), ['ann', 'ben', 'eve', self])
    if (ranked.at(-1) === self) return { question, ranked }
  }
}

const tag = lastRanked((number) => tagQuestion(`t${number}`))
const blob = lastRanked(
  (number): BlobQuestion => ({
    about: 'blob',
    repository,
    digest: digestOf(`blob ${number}`),
  }),
)
const silent = Array.from({ length: 1000 }, (_, number) => `silent-${number}`)

describe('a question about a tag', () => {
  const [first = '', second = ''] = tag.ranked

  it('is put to the member that ranks first, and to no other', async () => {
    const { delegates, asked } = openScene({})
    expect(await delegates.askForMissing(tag.question)).toEqual(there)
    expect(asked).toEqual([first])
  })

  it.each<Outcome>(['unreachable', 'refused', 'denied', 'wrong', 'unable', 'gone'])(
    'is put to the next when one is %s',
    async (outcome) => {
      const { delegates, asked } = openScene({ outcomes: { [first]: outcome } })
      expect(await delegates.askForMissing(tag.question)).toEqual(there)
      expect(asked).toEqual([first, second])
    },
  )

  it.each<Outcome>(['absent', 'paused', 'unusable'])(
    'is over when one says that it is %s',
    async (outcome) => {
      const { delegates, asked } = openScene({ outcomes: { [first]: outcome } })
      expect((await delegates.askForMissing(tag.question)).answer).not.toBe('there')
      expect(asked).toEqual([first])
    },
  )

  it('is put to the next beside one that takes its time, and what that was asked is taken back', async () => {
    const { delegates, asked, aborted, clock } = openScene({ outcomes: { [first]: 'silent' } })
    const answer = delegates.askForMissing(tag.question)
    await clock.untilAsleep(2_000)
    clock.advance(2_000)
    expect(await answer).toEqual(there)
    expect(asked).toEqual([first, second])
    expect(aborted).toEqual([first])
  })

  it('is put to four members at most, this node among them where it reaches the upstream', async () => {
    const isOver = { answer: 'failed' }
    const without = openScene({ others: silent, isReached: false, otherwise: 'gone' })
    expect(await without.delegates.askForMissing(tag.question)).toMatchObject(isOver)
    expect(without.asked).toHaveLength(4)
    const reaching = openScene({ others: silent, otherwise: 'gone', outcomes: { [self]: 'unreachable' } })
    expect(await reaching.delegates.askForMissing(tag.question)).toMatchObject(isOver)
    expect(reaching.asked).toHaveLength(4)
    expect(reaching.asked[2]).toBe(self)
  })

  it('is answered by this node itself after members have let a client wait in vain', async () => {
    const { delegates, clock, last } = openScene({
      others: silent,
      otherwise: 'silent',
      outcomes: { [self]: 'there' },
    })
    const name = Array.from({ length: 100 }, (_, number) => tagQuestion(`n${number}`))
    const [question = tag.question, ...next] = name
    const first = delegates.askForMissing(question)
    await clock.untilAsleep(4_500)
    clock.advance(4_500)
    expect(await first).toMatchObject({ answer: 'failed' })
    clock.advance(30_000)
    for (const other of next.slice(0, 3)) {
      expect(await delegates.askForMissing(other)).toEqual(there)
      expect(last.get(questionName(other))).toBe(self)
    }
  })

  it('is put last to a member that did not answer lately', async () => {
    const { delegates, asked, clock } = openScene({ isReached: false, outcomes: { [first]: 'gone' } })
    await delegates.askForMissing(tag.question)
    asked.length = 0
    await delegates.askForMissing({ ...tag.question, maxAgeMs: 0 })
    expect(asked).toEqual([second])
    asked.length = 0
    clock.advance(60_000)
    await delegates.askForMissing({ ...tag.question, maxAgeMs: 0 })
    expect(asked[0]).toBe(first)
  })
})

describe('a blob', () => {
  const { question, ranked } = blob
  const [first = '', second = '', third = ''] = ranked
  const isHere = { answer: 'there', digest: question.digest }
  const all = (outcome: Outcome) => Object.fromEntries(ranked.map((member) => [member, outcome]))

  it('is fetched by the member that ranks first, and by no other', async () => {
    const { fetch, asked } = openScene({})
    expect(await fetch(question)).toMatchObject(isHere)
    expect(asked).toEqual([first])
  })

  it.each<Outcome>(['unreachable', 'refused', 'unable', 'gone'])(
    'is fetched by the next when one is %s',
    async (outcome) => {
      const { fetch, asked } = openScene({ outcomes: { [first]: outcome } })
      expect(await fetch(question)).toMatchObject(isHere)
      expect(asked).toEqual([first, second])
    },
  )

  it('is asked of no member that does not reach the upstream', async () => {
    const { fetch, asked } = openScene({ isReached: false, otherwise: 'gone' })
    expect(await fetch(question)).toMatchObject({ answer: 'failed', trouble: 'unreachable' })
    expect(asked).toEqual(ranked.filter((member) => member !== self))
  })

  it('is not asked for any more when the upstream asks to wait: another member would only add to it', async () => {
    const { fetch, asked } = openScene({ outcomes: { [first]: 'paused' } })
    expect(await fetch(question)).toEqual(failure('paused', 'is paused'))
    expect(asked).toEqual([first])
  })

  it('is not there when two say so', async () => {
    const outcomes = { [first]: 'absent', [second]: 'absent' } as const
    const two = openScene({ isReached: false, outcomes })
    expect(await two.fetch(question)).toEqual({ answer: 'absent' })
    expect(two.asked).toEqual([first, second])
    const reaching = openScene({ outcomes })
    expect(await reaching.fetch(question)).toMatchObject(isHere)
    expect(reaching.asked).toEqual([first, second, self])
    const one = openScene({ outcomes: { [first]: 'absent' } })
    expect(await one.fetch(question)).toMatchObject(isHere)
    const alone = openScene({ others: [], outcomes: { [self]: 'absent' } })
    expect(await alone.fetch(question)).toEqual({ answer: 'absent' })
  })

  it('is not said to be nowhere where one says so, however often, and the others cannot ask', async () => {
    const outcomes: Scene['outcomes'] = { ...all('unable'), [first]: 'absent' }
    expect(await openScene({ outcomes }).fetch(question)).toMatchObject({ answer: 'failed' })
    const { fetch, clock, asked } = openScene({ isReached: false, outcomes })
    const fetching = fetch(question, { idleMs: () => 0 })
    await clock.untilAsleep(1000)
    outcomes[second] = 'there'
    clock.advance(1000)
    expect(await fetching).toMatchObject(isHere)
    expect(asked.filter((member) => member === first)).toHaveLength(2)
  })

  it('fails when all have failed and nothing has come, and then at once while that is known', async () => {
    const { fetch, asked, outcomes, clock } = openScene({ outcomes: all('unreachable') })
    expect(await fetch(question)).toMatchObject({ answer: 'failed', trouble: 'unreachable' })
    expect(asked).toHaveLength(4)
    expect(await fetch(question)).toMatchObject({ answer: 'failed', retryAfterMs: 2_000 })
    expect(asked).toHaveLength(4)
    Object.assign(outcomes, all('there'))
    clock.advance(2_000)
    expect(await fetch(question)).toMatchObject(isHere)
  })

  it('is fetched although a check of a tag was let go', async () => {
    const { delegates, fetch, clock } = openScene({
      outcomes: { [tag.ranked[0] ?? '']: 'silent', [first]: 'there' },
    })
    const check = delegates.askWithin(1_000, tag.question)
    await clock.untilAsleep(1_000)
    clock.advance(1_000)
    expect(await check).toMatchObject({ answer: 'failed' })
    expect(await fetch(question)).toMatchObject(isHere)
  })

  it('is asked for on and on when something has come', async () => {
    const { fetch, asked, clock, outcomes } = openScene({ outcomes: { ...all('gone'), [self]: 'unable' } })
    const fetching = fetch(question, { idleMs: () => 0 })
    await clock.untilAsleep(1000)
    outcomes[self] = 'there'
    clock.advance(1000)
    expect(await fetching).toMatchObject(isHere)
    expect(new Set(asked)).toEqual(new Set(ranked))
  })

  it('fails in time when whoever is asked gets nowhere, and is then asked of another', async () => {
    const { fetch, clock, asked, aborted } = openScene({
      isReached: false,
      outcomes: { [first]: 'silent' },
    })
    const fetching = fetch(question)
    await clock.untilAsleep(4500)
    clock.advance(4500)
    expect(await fetching).toEqual(failure('unreachable', 'does not answer'))
    expect(aborted).toEqual([first])
    clock.advance(2_000)
    expect(await fetch(question)).toMatchObject(isHere)
    expect(asked).toEqual([first, second])
  })

  it('that comes no more is taken over from a member that says it works on it', async () => {
    const begunMs = 1_000
    const scene = openScene({ isReached: false, outcomes: { [first]: 'silent' } })
    const { fetch, clock, asked, aborted } = scene
    const startMs = clock.now()
    const fetching = fetch(question, { idleMs: () => Math.max(0, clock.now() - startMs - begunMs) })
    await clock.untilAsleep(10_000)
    clock.advance(10_000)
    expect(asked).toEqual([first])
    await clock.untilAsleep(1_000)
    clock.advance(1_000)
    expect(await fetching).toMatchObject(isHere)
    expect(asked).toEqual([first, second])
    expect(aborted).toEqual([first])
  })

  it('is fetched by another when a member has long said that it has it, and nothing of it comes', async () => {
    const { fetch, clock, asked } = openScene({ isReached: false })
    for (let tries = 0; tries < 2; tries++) expect(await fetch(question)).toMatchObject(isHere)
    clock.advance(8_000)
    expect(await fetch(question)).toMatchObject(isHere)
    expect(asked).toEqual([first, first, second])
    // What came meanwhile may have come from it.
    clock.advance(8_000)
    expect(await fetch(question, { idleMs: () => 1_000 })).toMatchObject(isHere)
    expect(asked.at(-1)).toBe(second)
    const reaching = openScene({})
    await reaching.fetch(question)
    reaching.clock.advance(8_000)
    await reaching.fetch(question)
    expect(reaching.asked).toEqual([first, self])
  })

  it('is fetched by this node itself after a member of a thousand got nowhere', async () => {
    const { fetch, clock, asked } = openScene({
      others: silent,
      otherwise: 'silent',
      outcomes: { [self]: 'there' },
    })
    const fetching = fetch(question)
    await clock.untilAsleep(4500)
    clock.advance(4500)
    expect(await fetching).toMatchObject({ answer: 'failed' })
    clock.advance(2_000)
    asked.length = 0
    expect(await fetch({ ...question, digest: digestOf('another') })).toMatchObject({ answer: 'there' })
    expect(asked).toEqual([self])
  })

  it('is given up when two had bytes that are not its own', async () => {
    const { fetch, asked } = openScene({ otherwise: 'unusable' })
    expect(await fetch(question)).toMatchObject({ trouble: 'unusable' })
    expect(asked).toEqual([first, second])
    expect(third).not.toBe('')
  })
})
