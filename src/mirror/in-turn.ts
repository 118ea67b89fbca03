/** One question to one member after the other, until an answer settles it: the next is asked where one fails or takes its time. */
import { type Clock, untilOrAfter } from '../base/base.ts'
import { type Answer, type Failure, failure, type Question } from './messages.ts'

interface InTurnOptions {
  question: Question
  self: string
  /** A few, the best first, as things stand. */
  candidates(): string[]
  /** Rejects only with what its asker is to hear in place of any answer, and when it is aborted: with `tooLate` for want of progress. */
  ask(member: string, signal: AbortSignal): Promise<Answer>
  /** Of a blob: how long nothing of it has come, or `undefined` while nothing of it is known. */
  idleMs(): number | undefined
  clock: Clock
  signal: AbortSignal
}

/** How long a client waits for what is not here. */
export const missWithinMs = 4_500
export const tooLate = new Error('nothing came of it in time')
/** A slow upstream is asked about a name by two members rather than not at all. */
const besideMs = 2_000
/** A blob that has begun to come and comes no more is fetched by another: on the slowest line a piece takes less. */
const stalledMs = 10_000
/** Before all are asked again about the rest of it. */
const againMs = 1_000
/** What an upstream says of a blob is asked of another member as well, which may have other credentials, or another line. */
const enough = { tag: 1, manifest: 1, referrers: 1, blob: 2 }
/** An upstream that answers errors of its own answers them to others, too. */
const enoughWrong = 2

/** What was said by those who are asked once each. */
class Round {
  readonly asks: ReadonlySet<string>
  readonly absent = new Set<string>()
  unusable = 0
  wrong = 0

  constructor(candidates: string[]) {
    this.asks = new Set(candidates)
  }
}

/** The answer that settles it, or else this node's own, or the last. Throws `tooLate` for a blob of which nothing has come. */
export async function askInTurn(options: InTurnOptions): Promise<Answer> {
  const { question, self, candidates, ask, idleMs, clock, signal } = options
  const startedMs = clock.now()
  const working = new Map<AbortController, Promise<void>>()
  let untried = candidates()
  let round = new Round(untried)
  let settled: Answer | undefined
  let own: Failure | undefined
  let last = failure('unreachable', 'is reached by no member of the cluster now')

  const settles = (member: string, answer: Answer): boolean => {
    const most = enough[question.about]
    if (answer.answer === 'absent') {
      round.absent.add(member)
      // Where this node can ask itself, no word of others makes a blob that a manifest names one that is nowhere.
      const isBelieved = question.about !== 'blob' || !round.asks.has(self) || round.absent.has(self)
      return isBelieved && round.absent.size >= Math.min(most, round.asks.size)
    }
    if (answer.answer !== 'failed') return true
    if (answer.trouble === 'wrong') return ++round.wrong >= enoughWrong
    if (answer.trouble === 'unusable') return ++round.unusable >= most
    // It asks to wait, and another member would only add to what it has too much of.
    return answer.trouble === 'paused' && idleMs() === undefined
  }
  const begin = (member: string): void => {
    const stop = new AbortController()
    const asking = ask(member, AbortSignal.any([signal, stop.signal])).then((answer) => {
      working.delete(stop)
      if (answer.answer === 'failed') last = answer
      if (answer.answer === 'failed' && member === self) own = answer
      if (settles(member, answer)) settled ??= answer
    })
    asking.catch(() => undefined)
    working.set(stop, asking)
  }
  const end = (reason: Error): void => {
    for (const stop of working.keys()) stop.abort(reason)
    working.clear()
  }
  /** How long those that work on it are waited for alone, from now on. */
  const patienceMs = (askedMs: number): number => {
    const now = clock.now()
    if (question.about !== 'blob') return askedMs + besideMs - now
    const idle = idleMs()
    return idle === undefined ? startedMs + missWithinMs - now : stalledMs - Math.min(idle, now - askedMs)
  }

  try {
    for (;;) {
      const member = untried.shift()
      if (member !== undefined) begin(member)
      else if (working.size === 0) {
        if (idleMs() === undefined) return own ?? last
        await clock.sleep(againMs, { signal })
        untried = candidates()
        round = new Round(untried)
        continue
      }
      const one = Promise.race(working.values())
      const { size } = working
      const askedMs = clock.now()
      for (
        let leftMs = patienceMs(askedMs);
        leftMs > 0 && working.size === size;
        leftMs = patienceMs(askedMs)
      ) {
        await untilOrAfter(one, leftMs, { clock, signal })
      }
      if (settled !== undefined) return settled
      // A blob is never fetched by two for one that waits: it costs the line, and not a question.
      if (working.size < size || question.about !== 'blob') continue
      end(tooLate)
      if (idleMs() === undefined) throw tooLate
    }
  } finally {
    end(new Error('the question is answered'))
  }
}
