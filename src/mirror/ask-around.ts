/** One question to the members that can answer it, in order of rank: the next is asked where one fails or takes its time. */
import type { Clock } from '../base/base.ts'
import type { Answer } from './messages.ts'

interface AskAroundOptions {
  /** Never rejects: a member that cannot be reached is an answer of its own. */
  ask(member: string): Promise<Answer>
  clock: Clock
}

/** A slow upstream is asked by two members rather than not at all. */
const patienceMs = 2_000

/** The first answer that settles it, or the last of those that do not. `members` are not empty. */
export async function askAround(
  members: string[],
  none: Answer,
  { ask, clock }: AskAroundOptions,
): Promise<Answer> {
  const settled = Promise.withResolvers<Answer>()
  const over = new AbortController()
  const asked: Promise<void>[] = []
  let last = none
  let isSettled = false
  try {
    for (const member of members) {
      const asking = ask(member).then((answer) => {
        last = answer
        if (!settles(answer)) return
        isSettled = true
        settled.resolve(answer)
      })
      asked.push(asking)
      await Promise.race([settled.promise, asking, clock.sleep(patienceMs, over)])
      if (isSettled) break
    }
    return await Promise.race([settled.promise, Promise.all(asked).then(() => last)])
  } finally {
    over.abort(new Error('the question is answered'))
  }
}

function settles({ answer }: Answer): boolean {
  return answer !== 'failed' && answer !== 'refused'
}
