/** Before anything is compared both sides have the newer policy, so that neither offers what it would refuse. */
import type { Conversation, OwnPolicy } from './conversation.ts'
import { PeerMisbehavedError } from './errors.ts'
import type { MessageOf } from './reconcile-messages.ts'

/** Each sends its own policy record when they differ; `first` sends first. */
export async function exchangePolicies(
  conversation: Conversation,
  hello: MessageOf<'hello'>,
  own: OwnPolicy,
  { first }: { first: boolean },
): Promise<void> {
  if (Buffer.compare(own.hash, hello.policy) === 0) return
  const send = async (): Promise<void> => {
    if (own.record !== undefined) await conversation.sendRecord(own.record)
    await conversation.flushRecords()
    await conversation.send({ type: 'over' })
  }
  const receive = async (): Promise<void> => {
    const { said, done } = await conversation.receiveTurn(0)
    if (said.length > 0 || done) throw new PeerMisbehavedError('had to say its policy and nothing else')
  }
  if (first) await send()
  await receive()
  if (!first) await send()
}
