/** Questions to a delegate over a channel: one after the other, each with heartbeats while it is worked on, and its answer. */
import { type Clock, untilOrAfter } from '../base/base.ts'
import { type Channel, ChannelBrokenError } from '../wire/wire.ts'
import { type Answer, answerCodec, maxAnswerBytes, type Question, questionCodec } from './messages.ts'

interface Options {
  clock: Clock
  signal: AbortSignal
}

const heartbeatMs = 500
/** More than twice as many as there should be are not listened to. */
const maxAhead = 20
/** Three heartbeats: who says nothing for so long is gone. */
const silentMs = 1_500
/** An answer may take as long as it takes over a link that is hardly one. */
const slowBytesPerMs = 32

/** Throws `MALFORMED` for what is no answer, and `CHANNEL_BROKEN`, also when nothing comes in time; heartbeats are waited for without an end. */
export async function askOver(
  channel: Channel,
  question: Question,
  { clock, signal }: Options,
): Promise<Answer> {
  const inTime = <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> =>
    within(inTimeMs(question), work, { clock, signal })
  await inTime((bounded) => channel.send(questionCodec.encode(question), { signal: bounded }))
  const askedMs = clock.now()
  for (let heartbeats = 0; ; heartbeats++) {
    // Reading them costs more than sending them.
    if (heartbeats > maxAhead + (2 * (clock.now() - askedMs)) / heartbeatMs)
      throw new ChannelBrokenError('the member says too often that it works on it')
    const frame = await inTime((bounded) => channel.receive({ signal: bounded }))
    if (frame === undefined) throw new ChannelBrokenError('the member left without an answer')
    const message = answerCodec.decode(frame)
    if (message.answer !== 'working') return message
  }
}

/** Answers until the asker ends the channel; the work for one that leaves before is aborted. Throws `MALFORMED` for what is no question. */
export async function answerOver(
  channel: Channel,
  answer: (question: Question, options: { signal: AbortSignal }) => Promise<Answer>,
  { clock, signal }: Options,
): Promise<void> {
  for (let next = channel.receive({ signal }); ; ) {
    const frame = await next
    if (frame === undefined) break
    const question = questionCodec.decode(frame)
    const left = new AbortController()
    // Asking on without having heard the answer is leaving, too.
    const leave = (): void => left.abort(new ChannelBrokenError('the answer is not waited for'))
    next = channel.receive({ signal })
    next.then(leave, leave)
    const either = AbortSignal.any([signal, left.signal])
    let said: Answer | undefined
    const work = answer(question, { signal: either }).then((answered) => {
      said = answered
    })
    try {
      while (said === undefined) {
        await untilOrAfter(work, heartbeatMs, { clock, signal: either })
        const bytes = answerCodec.encode(said ?? { answer: 'working' })
        await within(inTimeMs(question), (bounded) => channel.send(bytes, { signal: bounded }), {
          clock,
          signal: either,
        })
      }
    } catch (error) {
      const hasLeft = left.signal.aborted && !signal.aborted
      leave()
      await work.catch(() => undefined)
      if (!hasLeft) throw error
      return
    }
  }
  await channel.close()
}

function inTimeMs({ about }: Question): number {
  return silentMs + maxAnswerBytes[about] / slowBytesPerMs
}

async function within<T>(
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  { clock, signal }: Options,
): Promise<T> {
  const [late, over] = [new AbortController(), new AbortController()]
  clock.sleep(ms, { signal: over.signal }).then(
    () => late.abort(new ChannelBrokenError(`the member said nothing for ${ms / 1000} s`)),
    () => undefined,
  )
  try {
    return await work(AbortSignal.any([signal, late.signal]))
  } finally {
    over.abort(new Error('it came'))
  }
}
