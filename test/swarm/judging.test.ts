/** What a node makes of gossip that it cannot judge. */
import { TopicValidatorResult } from '@libp2p/gossipsub'
import { expect, test } from 'vitest'
import { ClosingError, noMetrics, silentLogger, steadyClock } from '../../src/base/base.ts'
import { StoreFullError } from '../../src/store/store.ts'
import { createSpread } from '../../src/swarm/spread.ts'

type Gossip = Parameters<typeof createSpread>[0]['gossip']
type Validator = NonNullable<ReturnType<Gossip['topicValidators']['get']>>

test('says once that messages cannot be judged, however many come and whatever they met before, and blames nobody', async () => {
  const errors: unknown[] = []
  const penalised: string[] = []
  const gossip: Gossip = {
    topicValidators: new Map<string, Validator>(),
    publish: async () => ({ recipients: [] }),
  }
  const spread = createSpread({
    gossip,
    topic: 'topic',
    conduct: { isRefused: () => false, penalise: (peer) => penalised.push(peer) },
    clock: steadyClock,
    logger: { ...silentLogger, error: (fields: unknown) => errors.push(fields) },
    metrics: noMetrics,
  })
  const fault = new Error('not a function')
  const reasons: Error[] = [new StoreFullError('the disk is full'), new ClosingError('the node stops')]
  spread.onMessage(async () => {
    throw reasons.pop() ?? fault
  })
  const validate = gossip.topicValidators.get('topic')
  if (validate === undefined) throw new Error('nobody validates')
  const [peer, message] = [
    { toString: () => 'peer' },
    { data: new Uint8Array(3) },
  ] as unknown as Parameters<Validator>
  for (let sent = 0; sent < 50; sent++)
    expect(await validate(peer, message)).toBe(TopicValidatorResult.Ignore)
  expect(errors).toEqual([{ err: fault, from: 'peer' }])
  expect(penalised).toEqual([])
})
