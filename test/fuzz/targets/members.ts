/** Messages of members to each other, and the frames that they come in. */
import { activityMessage, activityRequest } from '../../../node/cluster/activity.ts'
import { copyAnswers, copyQuestion } from '../../../node/cluster/copies-channel.ts'
import { decodeFrame, encodeMessage } from '../../../src/exchange/protocol/messages.ts'
import { decodePieceList, signPieceList } from '../../../src/exchange/protocol/piece-list.ts'
import { answerCodec, questionCodec } from '../../../src/mirror/messages.ts'
import { parseDigest, parseRepository, parseTag } from '../../../src/oci/oci.ts'
import { messages as reconcileMessages } from '../../../src/records/reconcile-messages.ts'
import { rotationContent } from '../../../src/swarm/cluster/rotation.ts'
import { introductionMessage, verdictMessage } from '../../../src/swarm/members/admission-messages.ts'
import { statusMessage, statusRequest } from '../../../src/swarm/members/status-message.ts'
import { FrameReader, frameHeader, identityFromSeed, peerIdOf, seal } from '../../../src/wire/wire.ts'
import { canonical, type Decoder, hex, mustBe, refusing, type Target } from '../target.ts'

const identity = identityFromSeed(new Uint8Array(32).fill(7))
const { peerId } = identity
const digest = parseDigest(`sha256:${'ab'.repeat(32)}`)
const repository = parseRepository('team/app')
const tag = parseTag('v1')
const key = new Uint8Array(32).fill(3)
const running = new Uint8Array(16)

/** The first byte says how the rest is cut into chunks: frames are the same however they arrive. */
const frames: Decoder = {
  seeds: [
    Uint8Array.from([3, ...frameHeader(5, 100), 1, 2, 3, 4, 5, ...frameHeader(0, 100)]),
    Uint8Array.from([1, ...frameHeader(2, 100), 9, 9, 0, 0]),
    Uint8Array.from([7, 255, 0, 0, 0, 1]),
  ],
  check(bytes) {
    const [cut = 0, ...rest] = bytes
    const stream = Uint8Array.from(rest)
    const step = (cut % 16) + 1
    const parts: Uint8Array[] = []
    for (let at = 0; at < stream.length; at += step) parts.push(stream.slice(at, at + step))
    mustBe(framesIn(parts) === framesIn([stream]), 'other frames when they come in other chunks')
  },
}

/** A stream that is refused is broken off, whatever came before in the same chunk. */
function framesIn(chunks: Uint8Array[]): string {
  const reader = new FrameReader({ maxBytes: 64 * 1024 })
  const frames = refusing(['TOO_LARGE'], () => chunks.flatMap((chunk) => reader.push(chunk)))
  if (frames === undefined) return 'refused'
  const isWhole = refusing(['CHANNEL_BROKEN'], () => {
    reader.end()
    return true
  })
  return JSON.stringify([isWhole ?? false, frames.map(hex)])
}

const hashes = new Uint8Array(64)
const pieceList = signPieceList({ digest, size: 100 * 1024, hashes }, identity)

/** Its signature is not looked at here; the body has one encoding as every message. */
const pieceLists: Decoder = {
  seeds: [pieceList.bytes, pieceList.bytes.subarray(0, 200)],
  check(bytes) {
    const list = refusing(['MALFORMED'], () => decodePieceList(bytes))
    if (list === undefined) return
    const { after, layout } = list
    const again = signPieceList(
      {
        digest: list.digest,
        size: layout.size,
        hashes: list.hashes,
        ...(after === undefined ? {} : { after }),
      },
      identity,
    )
    mustBe(
      Buffer.compare(again.bytes.subarray(96), bytes.subarray(96)) === 0,
      'a piece list with two encodings',
    )
    mustBe(list.author === peerIdOf(bytes.subarray(0, 32)), 'an author that is not in the envelope')
  },
}

const exchange: Decoder = {
  seeds: [
    encodeMessage({ type: 'want', id: 1, digest, repository }),
    encodeMessage({ type: 'request', id: 1, pieces: [0, 5], urgent: 1 }),
    encodeMessage({ type: 'update', id: 1, pieces: [0, 5, 65_535] }),
    encodeMessage({ type: 'ask-list', id: 65_535, from: 3 }),
    encodeMessage({ type: 'partial', id: 1, size: 100 * 1024, bitfield: new Uint8Array([0x80]) }),
    encodeMessage({ type: 'later', id: 1, pieces: [1], instead: [2], retryAfterMs: 10 }),
    encodeMessage({ type: 'direct', port: 4001, fingerprint: key, ticket: key }),
    encodeMessage({ type: 'moved' }),
    Uint8Array.from([1, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 5, 5]),
    Uint8Array.from([2, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 0, 5, 5]),
  ],
  check(bytes) {
    const message = refusing(['MALFORMED'], () => decodeFrame(bytes))
    if (message === undefined || 'bytes' in message) return
    mustBe(Buffer.compare(encodeMessage(message), bytes) === 0, 'a message with two encodings')
  },
}

const range = { prefix: 'a', after: '', upTo: 'f'.repeat(32), items: new Uint8Array(32) }

export const members: Target = {
  decoders: {
    frames,
    exchange,
    pieceLists,
    rotations: canonical(rotationContent, [
      { generation: 3, members: [key], secret: key, until: 1_800_000_000_000 },
      { generation: 1, members: [], secret: key, until: 0 },
    ]),
    introductions: canonical(introductionMessage, [
      { addresses: ['/ip4/10.0.0.1/tcp/5001'], name: 'a', proof: new Uint8Array(128), site: 'berlin' },
      { addresses: [] },
    ]),
    verdicts: canonical(verdictMessage, [
      { kind: 'member', generation: 3, secret: key },
      { kind: 'guest', why: 'it has to be approved' },
      { kind: 'refused', why: 'used up' },
    ]),
    statusRequests: canonical(statusRequest, [
      { away: [], keeps: ['a/b'], running, upstreams: ['docker.io'] },
    ]),
    status: canonical(statusMessage, [
      {
        agent: 'shoal/0.1.0',
        announces: 3,
        peers: [{ addresses: ['/ip4/10.0.0.1/tcp/5001'], peer: peerId }],
        away: [],
        keeps: [],
        running,
        upstreams: [],
      },
    ]),
    activity: canonical(activityMessage, [
      {
        name: 'a',
        maxUpload: 3,
        peers: [{ peer: peerId, received: 1 }],
        transfers: [{ digest, held: 1, peers: 2, pieces: 3, size: 4 }],
      },
    ]),
    activityRequests: canonical(activityRequest, [{}]),
    mirrorQuestions: canonical(questionCodec, [
      { about: 'tag', repository, tag, maxAgeMs: 5 },
      { about: 'referrers', repository, digest, maxAgeMs: 5 },
      { about: 'blob', repository, digest },
    ]),
    mirrorAnswers: canonical(answerCodec, [
      { answer: 'listed', digests: [digest], ageMs: 1, records: [] },
      { answer: 'failed', trouble: 'paused', reason: 'slowly', retryAfterMs: 5 },
      { answer: 'working' },
    ]),
    copyQuestions: canonical(copyQuestion, [
      { images: [{ digest, repository }], mode: 'hold', withinMs: 20_000 },
      { images: [{ digest, repository }], mode: 'pulled', withinMs: 7_776_000_000 },
    ]),
    copyAnswers: canonical(copyAnswers, [{ held: ['held', 'coming', 'missing', 'refused'] }]),
    reconcile: canonical(reconcileMessages, [
      { type: 'hello', version: 1, now: 5, total: 6, root: key, policy: new Uint8Array() },
      { type: 'items', ranges: [range] },
      { type: 'records', records: [seal('a\0', new Uint8Array(4), identity)] },
      { type: 'over' },
    ]),
  },
}
