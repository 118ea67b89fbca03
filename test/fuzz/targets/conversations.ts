/** What a member says where the message and what is done with it cannot be had apart: questions for records, gossip, statements. */
import { silentLogger, steadyClock } from '../../../src/base/base.ts'
import { parseDigest } from '../../../src/oci/oci.ts'
import { decodeRecord, maxRecordBytes, signRecord } from '../../../src/records/record.ts'
import {
  answerQuestions,
  askRecords,
  type Ledger,
  type Spread,
  spreadRecords,
} from '../../../src/records/records.ts'
import { createSeed } from '../../../src/swarm/cluster/key-file.ts'
import { createClones } from '../../../src/swarm/members/clones.ts'
import {
  bytes as bytesOf,
  type Channel,
  codec,
  identityFromSeed,
  list,
  literal,
  struct,
  text,
} from '../../../src/wire/wire.ts'
import { type Decoder, mustBe, refusing, refusingLater, type Target } from '../target.ts'

const malformed = ['MALFORMED']
const maxAnswerBytes = 256 * 1024
const maxGossiped = 1024

const identity = identityFromSeed(new Uint8Array(32).fill(7))
const digest = parseDigest(`sha256:${'ab'.repeat(32)}`)
const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const value = { digest, mediaType, size: 3 }
const record = signRecord({ kind: 'tag', key: 'team/app:1', time: [1, 2], value }, identity).envelope.bytes

/** One side of a conversation in which the other says the input, and then nothing. */
function channelOf(said: Uint8Array, onSent: (frame: Uint8Array) => void): Channel {
  const frames = [said]
  return {
    send: async (frame) => onSent(frame),
    receive: async () => frames.shift(),
    close: async () => undefined,
    abort: () => undefined,
  }
}

const question = codec(struct({ type: literal('ask'), keys: list(text({ max: 512 }), { max: 32 }) }), {
  maxBytes: 32 * 1024,
})

/** Every key has a record, so that an answer is as long as it can get. */
const questions: Decoder = {
  seeds: [question.encode({ type: 'ask', keys: ['tteam/app:1', `mteam/app@${digest}`, 'p'] })],
  async check(bytes) {
    let length = 0
    const channel = channelOf(bytes, (frame) => {
      length = frame.length
    })
    await refusingLater(malformed, () => answerQuestions(channel, { findRecord: () => record }))
    mustBe(length <= maxAnswerBytes, `an answer of ${length} bytes`)
  },
}

const records = list(bytesOf({ max: maxRecordBytes }), { max: maxGossiped })
const answer = codec(struct({ type: literal('answer'), records }), { maxBytes: maxAnswerBytes })

const answers: Decoder = {
  seeds: [answer.encode({ type: 'answer', records: [record, record] })],
  async check(bytes) {
    const channel = channelOf(bytes, () => undefined)
    const got = await refusingLater(malformed, () => askRecords(channel, [{ kind: 'policy' }]))
    mustBe((got ?? []).length <= 64, 'more records than were asked for')
  },
}

/** The ledger takes all that it is given: what a message may be is judged before. */
const gossip: Decoder = {
  seeds: [codec(records, { maxBytes: maxAnswerBytes }).encode([record])],
  async check(bytes) {
    let taken = 0
    let judge: Parameters<Spread['onMessage']>[0] = async () => 'ignore'
    const spread: Spread = {
      publish: async () => undefined,
      onMessage(handler) {
        judge = handler
        return () => undefined
      },
    }
    const ledger = {
      onRecords: () => () => undefined,
      apply: async (given: Uint8Array[]) => {
        taken = given.length
        for (const one of given) refusing(malformed, () => decodeRecord(one))
        return { applied: given.length, delayedBytes: 0 }
      },
    }
    await using _spreading = spreadRecords({ ledger: ledger as unknown as Ledger, spread })
    const verdict = await judge(bytes, 'peer')
    mustBe(taken <= maxGossiped && taken > 0 === (verdict === 'accept'), `${verdict} of ${taken} records`)
  },
}

/** What is heard is one of a member's own; what is told is said to be this node's. */
const statements: Decoder = {
  seeds: [clones().statement(), clones().statement().subarray(0, 100)],
  async check(bytes) {
    const mine = clones()
    const told = refusing(malformed, () => mine.heard('peer', bytes))
    mustBe(told === undefined, 'something that another process said')
    await mine.told('peer', bytes)
    mustBe(!mine.isCloned(), 'believes that it is cloned')
  },
}

function clones() {
  return createClones({
    identity: { ...identity, seed: createSeed() },
    clock: steadyClock,
    logger: silentLogger,
  })
}

export const conversations: Target = { decoders: { questions, answers, gossip, statements } }
