/** What members ask each other about copies: one question after the other on a channel, whose ends are who they say they are. */
import {
  type CopyAnswer,
  type CopyMode,
  type CopyPeers,
  type CopyQuestion,
  maxAsked,
} from '../../src/placement/placement.ts'
import type { Swarm } from '../../src/swarm/swarm.ts'
import {
  type Channel,
  ChannelBrokenError,
  codec,
  digestText,
  list,
  repositoryText,
  struct,
  text,
  uint,
} from '../../src/wire/wire.ts'
import { ChannelPool } from './channel-pool.ts'

export const copiesProtocol = '/shoal/copies/1.0.0'
export const copiesLimits = { maxFrameBytes: 64 * 1024, maxInboundPerPeer: 8 }

const modes: readonly CopyMode[] = ['look', 'hold', 'promise', 'have', 'ready', 'ahead', 'through', 'pulled']
const answers: readonly CopyAnswer[] = ['held', 'coming', 'missing', 'refused']

const image = struct({ digest: digestText, repository: repositoryText })

export const copyQuestion = codec(
  struct({
    images: list(image, { max: maxAsked }),
    mode: text({ max: 8, parse: (word) => oneOf(modes, word) }),
    withinMs: uint(),
  }),
  { maxBytes: copiesLimits.maxFrameBytes },
)

export const copyAnswers = codec(
  struct({ held: list(text({ max: 8, parse: (word) => oneOf(answers, word) }), { max: maxAsked }) }),
  { maxBytes: 1024 },
)

/** Beyond what a member may take to bring what it was asked for. Where a copy is to go, somebody may wait for the room. */
const patienceMs: Record<CopyMode, number> = {
  look: 15_000,
  hold: 15_000,
  promise: 3_000,
  have: 3_000,
  ready: 3_000,
  ahead: 3_000,
  through: 3_000,
  pulled: 3_000,
}

/** Answers one question after the other until the asker closes the channel. */
export async function answerCopies(
  channel: Channel,
  answer: (question: CopyQuestion, options: { signal: AbortSignal }) => Promise<CopyAnswer[]>,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  for (;;) {
    const request = await channel.receive({ signal })
    if (request === undefined) break
    const held = await answer(copyQuestion.decode(request), { signal })
    await channel.send(copyAnswers.encode({ held }), { signal })
  }
  await channel.close()
}

export function copyPeers(swarm: Pick<Swarm, 'open'>): CopyPeers {
  const pool = new ChannelPool((peer, options) =>
    swarm.open(peer, copiesProtocol, { maxFrameBytes: copiesLimits.maxFrameBytes, ...options }),
  )
  return {
    async ask(peer, question, { signal }) {
      const { mode, withinMs } = question
      const bringingMs = mode === 'pulled' ? 0 : withinMs
      const until = AbortSignal.any([signal, AbortSignal.timeout(bringingMs + patienceMs[mode])])
      return await pool.use(peer, (channel) => askOnce(channel, question, until), { signal: until })
    },
  }
}

async function askOnce(channel: Channel, question: CopyQuestion, signal: AbortSignal): Promise<CopyAnswer[]> {
  await channel.send(copyQuestion.encode(question), { signal })
  const answer = await channel.receive({ signal })
  if (answer === undefined) throw new ChannelBrokenError('the member left without an answer')
  return copyAnswers.decode(answer).held
}

function oneOf<T extends string>(words: readonly T[], word: string): T {
  const found = words.find((one) => one === word)
  if (found === undefined) throw new Error(`"${word}" is none of ${words.join(', ')}`)
  return found
}
