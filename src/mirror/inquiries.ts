/** Questions about upstreams over a channel between members: one after the other, each with its answer. */
import { type Channel, ChannelBrokenError } from '../wire/wire.ts'
import { type Answer, answerCodec, type Question, questionCodec } from './messages.ts'

/** Throws `MALFORMED` for what is no answer, and `CHANNEL_BROKEN`. */
export async function inquire(
  channel: Channel,
  question: Question,
  options: { signal?: AbortSignal } = {},
): Promise<Answer> {
  await channel.send(questionCodec.encode(question), options)
  const answer = await channel.receive(options)
  if (answer === undefined) throw new ChannelBrokenError('the peer left without an answer')
  return answerCodec.decode(answer)
}

/** Answers until the peer ends the channel. Throws `MALFORMED` for what is no question. */
export async function answerInquiries(
  channel: Channel,
  answer: (question: Question) => Promise<Answer>,
  options: { signal?: AbortSignal } = {},
): Promise<void> {
  for (;;) {
    const question = await channel.receive(options)
    if (question === undefined) break
    await channel.send(answerCodec.encode(await answer(questionCodec.decode(question))), options)
  }
  await channel.close()
}
