/** Questions and answers over a channel: what keeps them going, and what ends them. */
import { describe, expect, it } from 'vitest'
import { answerOver, askOver } from '../../src/mirror/conversation.ts'
import { type Answer, answerCodec, fetched, type Question, questionCodec } from '../../src/mirror/messages.ts'
import { parseRepository } from '../../src/oci/oci.ts'
import { channelPair } from '../../src/wire/wire.ts'
import { digestOf } from './fake-upstream.ts'
import { SteppedClock } from './stepped-clock.ts'

const repository = parseRepository('docker.io/library/alpine')
const digest = digestOf('a blob')
const question: Question = { about: 'blob', repository, digest }

function openTalk() {
  const clock = new SteppedClock()
  const stop = new AbortController()
  const { a, b } = channelPair()
  const works: { signal: AbortSignal; done: PromiseWithResolvers<Answer> }[] = []
  const answer = (_: Question, { signal }: { signal: AbortSignal }): Promise<Answer> => {
    const done = Promise.withResolvers<Answer>()
    signal.addEventListener('abort', () => done.reject(signal.reason))
    works.push({ signal, done })
    return done.promise
  }
  const serving = answerOver(b, answer, { clock, signal: stop.signal })
  const ask = (signal = stop.signal) => askOver(a, question, { clock, signal })
  /** Once the work for the nth question has begun. */
  const work = async (index: number) => {
    while (works.length <= index) await new Promise((resolve) => setImmediate(resolve))
    const found = works[index]
    if (found === undefined) throw new Error('it has begun')
    return found
  }
  return { clock, a, b, serving, ask, work, stop }
}

describe('a question to a delegate', () => {
  it('is waited for as long as there are heartbeats', async () => {
    const { clock, ask, work, a, serving } = openTalk()
    const asking = ask()
    const { done } = await work(0)
    for (let half = 0; half < 20; half++) {
      await clock.untilAsleep(500)
      clock.advance(500)
      await new Promise((resolve) => setImmediate(resolve))
    }
    done.resolve(fetched(digest))
    expect(await asking).toEqual(fetched(digest))
    await a.close()
    await serving
  })

  it('is answered on the same channel as the one before it', async () => {
    const { ask, work, a, serving } = openTalk()
    for (const [index, answer] of [fetched(digest), { answer: 'absent' } as const].entries()) {
      const asking = ask()
      const { done } = await work(index)
      done.resolve(answer)
      expect(await asking).toEqual(answer)
    }
    await a.close()
    await serving
  })

  it('fails when the member says nothing for the time of three heartbeats', async () => {
    const clock = new SteppedClock()
    const { a } = channelPair()
    const asking = askOver(a, question, { clock, signal: new AbortController().signal })
    asking.catch(() => undefined)
    // And what an answer as short as that takes over the narrowest link.
    await new Promise((resolve) => setImmediate(resolve))
    await clock.untilAsleep(1_532)
    clock.advance(1_532)
    await expect(asking).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
  })

  it('fails when the member does little else than saying that it works on it', async () => {
    const { a, b } = channelPair()
    const options = { clock: new SteppedClock(), signal: new AbortController().signal }
    const heartbeat = answerCodec.encode({ answer: 'working' })
    for (let number = 0; number < 21; number++) await b.send(heartbeat)
    await b.send(answerCodec.encode(fetched(digest)))
    await expect(askOver(a, question, options)).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
  })

  it('fails when the member leaves, or says what is no answer', async () => {
    const left = channelPair()
    const options = { clock: new SteppedClock(), signal: new AbortController().signal }
    await left.b.close()
    await expect(askOver(left.a, question, options)).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    const wrong = channelPair()
    await wrong.b.send(questionCodec.encode(question))
    await expect(askOver(wrong.a, question, options)).rejects.toMatchObject({ code: 'MALFORMED' })
  })

  it('has the work for it ended when whoever asked has left', async () => {
    const { ask, work, a, serving } = openTalk()
    const asking = ask()
    const { signal } = await work(0)
    a.abort(new Error('it is asked of another'))
    await expect(asking).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    await serving
    expect(signal.aborted).toBe(true)
  })

  it('has the work for it ended when another follows before its answer', async () => {
    const { ask, work, a, b, serving } = openTalk()
    ask().catch(() => undefined)
    const { signal } = await work(0)
    await a.send(questionCodec.encode(question))
    await serving
    expect(signal.aborted).toBe(true)
    b.abort(new Error('as the host does when it is served'))
  })

  it('that is none ends the channel', async () => {
    const { a, serving } = openTalk()
    await a.send(answerCodec.encode({ answer: 'absent' }))
    await expect(serving).rejects.toMatchObject({ code: 'MALFORMED' })
  })

  it('is not worked on any longer when its member takes no heartbeats', async () => {
    const clock = new SteppedClock()
    const { a, b } = channelPair({ windowBytes: 1 })
    const never = new AbortController().signal
    let isAborted = false
    const serving = answerOver(
      b,
      (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            isAborted = true
            reject(signal.reason)
          })
        }),
      { clock, signal: never },
    )
    serving.catch(() => undefined)
    await Promise.race([a.send(questionCodec.encode(question)), clock.untilAsleep(500)])
    await clock.untilAsleep(500)
    clock.advance(500)
    await clock.untilAsleep(1_532)
    clock.advance(1_532)
    await expect(serving).rejects.toMatchObject({ code: 'CHANNEL_BROKEN' })
    expect(isAborted).toBe(true)
  })
})
