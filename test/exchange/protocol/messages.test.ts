import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Answer,
  type Ask,
  decodeFrame,
  encodeMessage,
  isAsk,
  isMove,
  type Move,
} from '../../../src/exchange/protocol/messages.ts'
import { maxPieceListBytes } from '../../../src/exchange/protocol/piece-list.ts'
import { maxPieces } from '../../../src/exchange/protocol/piece-size.ts'
import {
  encodeData,
  listFrames,
  maxChunkBytes,
  maxFrameBytes,
  parseRawFrame,
  rawHeaderBytes,
  writeDataHeader,
} from '../../../src/exchange/protocol/raw-frames.ts'
import { digestBytes, parseRepository } from '../../../src/oci/oci.ts'
import { bytes, codec, list, optional, struct, text, uint } from '../../../src/wire/wire.ts'

const digest = digestBytes(Buffer.from('a blob'))
const repository = parseRepository('team/app')
const key = new Uint8Array(32).fill(0xab)
const malformed = expect.objectContaining({ code: 'MALFORMED' })
const hex = (frame: Uint8Array): string => Buffer.from(frame).toString('hex')
const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

// The frames of docs/exchange.md. A change here is a new protocol.
const asks: [Ask, string][] = [
  [
    { type: 'want', id: 1, digest, repository },
    'a46269640164747970656477616e746664696765737478477368613235363a353537306133636630323230376631643335326432636665613338356265346263306232623934313466363036626161366635356462363062323332663232316a7265706f7369746f7279687465616d2f617070',
  ],
  [{ type: 'ask-list', id: 1 }, 'a26269640164747970656861736b2d6c697374'],
  [{ type: 'ask-list', id: 1, from: 7 }, 'a3626964016466726f6d0764747970656861736b2d6c697374'],
  [{ type: 'request', id: 1, pieces: [3, 4464] }, '030000010000000300001170'],
  [{ type: 'request', id: 1, pieces: [0], urgent: 1 }, '0301000100000000'],
  [{ type: 'cancel', id: 1, pieces: [3] }, '0400000100000003'],
  [{ type: 'got', id: 1, pieces: [3] }, '0500000100000003'],
  [{ type: 'bad', id: 1, piece: 3 }, 'a36269640164747970656362616465706965636503'],
  [{ type: 'done', id: 1 }, 'a262696401647479706564646f6e65'],
]
const answers: [Answer, string][] = [
  [{ type: 'absent', id: 1 }, 'a262696401647479706566616273656e74'],
  [
    { type: 'complete', id: 1, size: 20_971_520 },
    'a3626964016473697a651a01400000647479706568636f6d706c657465',
  ],
  [
    { type: 'partial', id: 1, size: 200_000, bitfield: Uint8Array.of(0xa0) },
    'a4626964016473697a651a00030d406474797065677061727469616c686269746669656c6441a0',
  ],
  [{ type: 'update', id: 1, pieces: [1, 3] }, '060000010000000100000003'],
  [{ type: 'lost', id: 1, pieces: [2] }, '0700000100000002'],
  [{ type: 'no-list', id: 1 }, 'a2626964016474797065676e6f2d6c697374'],
  [
    { type: 'later', id: 1, pieces: [3], instead: [4, 5], retryAfterMs: 500 },
    'a5626964016474797065656c6174657266706965636573810367696e73746561648204056c726574727941667465724d731901f4',
  ],
  [
    { type: 'busy', id: 1, retryAfterMs: 1000 },
    'a362696401647479706564627573796c726574727941667465724d731903e8',
  ],
  [{ type: 'alive' }, 'a1647479706565616c697665'],
  [
    { type: 'others', id: 1, peers: [key] },
    'a3626964016474797065666f7468657273657065657273815820abababababababababababababababababababababababababababababababab',
  ],
]
const moves: [Move, string][] = [
  [
    { type: 'direct', port: 5002, fingerprint: key, ticket: key },
    'a464706f727419138a647479706566646972656374667469636b65745820abababababababababababababababababababababababababababababababab6b66696e6765727072696e745820abababababababababababababababababababababababababababababababab',
  ],
  [{ type: 'no-direct' }, 'a16474797065696e6f2d646972656374'],
  [{ type: 'dial' }, 'a16474797065646469616c'],
  [{ type: 'moved' }, 'a16474797065656d6f766564'],
]
const messages = [...asks, ...answers, ...moves]

describe('a message', () => {
  it.each(messages)('%j has these bytes', (message, golden) => {
    expect(hex(encodeMessage(message))).toBe(golden)
    expect(decodeFrame(unhex(golden))).toEqual(message)
  })

  it('is shown in the documentation as it is', () => {
    const text = readFileSync(new URL('../../../docs/exchange.md', import.meta.url), 'utf8')
    const shown = [...text.matchAll(/^ {4}(?:request|partial|later),.* ([0-9a-f]+)$/gm)].map(
      ([, frame]) => frame,
    )
    const golden = messages.map(([, frame]) => frame)
    expect(shown).toHaveLength(3)
    for (const frame of shown) expect(golden).toContain(frame)
  })

  it('is of who downloads, of who seeds, or of the connection', () => {
    for (const [message] of messages) {
      expect([isAsk(message), isMove(message)]).toEqual([
        asks.some(([{ type }]) => type === message.type),
        moves.some(([{ type }]) => type === message.type),
      ])
    }
    const data = decodeFrame(encodeData({ id: 1, piece: 1, offset: 0, bytes: Uint8Array.of(1) }))
    expect([isAsk(data), isMove(data)]).toEqual([false, false])
  })

  it('is read or refused as malformed, whatever the bytes', () => {
    const frames = messages.map(([message]) => encodeMessage(message))
    const changed = fc
      .tuple(fc.constantFrom(...frames), fc.nat(), fc.nat({ max: 255 }))
      .map(([frame, at, byte]) =>
        Uint8Array.from(frame, (old, index) => (index === at % frame.length ? byte : old)),
      )
    fc.assert(
      fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 100 })), (frame) => {
        try {
          decodeFrame(frame)
        } catch (error) {
          expect(error).toEqual(malformed)
        }
      }),
      { numRuns: 500 },
    )
  })

  const loose = codec(
    struct({
      type: text({ max: 99 }),
      id: optional(uint()),
      size: optional(uint()),
      bitfield: optional(bytes({ max: 99_999 })),
      piece: optional(uint()),
      pieces: optional(list(uint(), { max: 99_999 })),
      instead: optional(list(uint(), { max: 99_999 })),
      peers: optional(list(bytes({ max: 99 }), { max: 99_999 })),
      retryAfterMs: optional(uint()),
      urgent: optional(uint()),
      port: optional(uint()),
      fingerprint: optional(bytes({ max: 99 })),
      ticket: optional(bytes({ max: 99 })),
      digest: optional(text({ max: 999 })),
      repository: optional(text({ max: 999 })),
    }),
    { maxBytes: 99_999 },
  )
  const many = (count: number): number[] => Array.from({ length: count }, () => 1)

  it.each([
    ['an id of three bytes', { type: 'done', id: 0x10000 }],
    ['a type that there is not', { type: 'steal', id: 1 }],
    ['a field too many', { type: 'done', id: 1, piece: 1 }],
    ['a field too few', { type: 'bad', id: 1 }],
    ['a piece beyond any blob', { type: 'bad', id: 1, piece: maxPieces }],
    ['what names pieces otherwise', { type: 'request', id: 1, pieces: [1] }],
    ['what is not a digest', { type: 'want', id: 1, digest: 'sha256:00', repository: 'a' }],
    ['what is not a repository', { type: 'want', id: 1, digest, repository: '../a' }],
  ])('from who downloads is refused with %s', (_, message) => {
    expect(() => decodeFrame(loose.encode(message))).toThrow(malformed)
  })

  it.each([
    ['a size beyond any blob', { type: 'complete', id: 1, size: 2 ** 40 + 1 }],
    ['an endless bitfield', { type: 'partial', id: 1, size: 2 ** 40, bitfield: new Uint8Array(8193) }],
    ['a bitfield that is too long', { type: 'partial', id: 1, size: 200_000, bitfield: new Uint8Array(2) }],
    ['a bitfield that is too short', { type: 'partial', id: 1, size: 200_000, bitfield: new Uint8Array() }],
    ['a bit too many', { type: 'partial', id: 1, size: 200_000, bitfield: Uint8Array.of(0x08) }],
    ['65 pieces', { type: 'later', id: 1, pieces: many(65), instead: [], retryAfterMs: 1 }],
    ['a wait of more than a minute', { type: 'busy', id: 1, retryAfterMs: 60_001 }],
    ['17 others', { type: 'others', id: 1, peers: many(17).map(() => key) }],
    ['half a key', { type: 'others', id: 1, peers: [key.subarray(16)] }],
    ['a short fingerprint', { type: 'direct', port: 1, fingerprint: key.subarray(1), ticket: key }],
    ['port 0', { type: 'direct', port: 0, fingerprint: key, ticket: key }],
    ['port 65,536', { type: 'direct', port: 65_536, fingerprint: key, ticket: key }],
    ['a short ticket', { type: 'direct', port: 1, fingerprint: key, ticket: key.subarray(1) }],
  ])('from who seeds is refused with %s', (_, message) => {
    expect(() => decodeFrame(loose.encode(message))).toThrow(malformed)
  })

  it.each([
    ['65 pieces', `03000001${'00000001'.repeat(65)}`],
    ['1,025 new pieces', `06000001${'00000001'.repeat(1025)}`],
    ['no piece', '03000001'],
    ['half a piece', '030000010000'],
    ['no id', '0300'],
    ['a piece beyond any blob', '0300000100010000'],
    ['an urgency of 2', '0302000100000001'],
    ['urgent news', '0601000100000001'],
  ])('about pieces is refused with %s', (_, frame) => {
    expect(() => decodeFrame(unhex(frame))).toThrow(malformed)
  })

  it('is refused when it is larger than any message', () => {
    expect(() => decodeFrame(new Uint8Array(16 * 1024 + 1).fill(0xa0))).toThrow(malformed)
  })
})

describe('a raw frame', () => {
  it('has these bytes', () => {
    const bytes = Uint8Array.of(0xca, 0xfe)
    const data = { id: 0x0102, piece: 0x0304, offset: 0x050607, bytes }
    expect(hex(encodeData(data))).toBe('010001020000030400050607cafe')
    expect(decodeFrame(encodeData(data))).toEqual({ type: 'data', ...data })
    const frames = [...listFrames(7, bytes)]
    expect(frames.map(hex)).toEqual(['020000070000000200000000cafe'])
    expect(parseRawFrame(frames[0] ?? bytes)).toEqual({
      type: 'list',
      id: 7,
      totalBytes: 2,
      offset: 0,
      bytes,
    })
  })

  it('takes its header in front of bytes that are there already', () => {
    const frame = new Uint8Array(rawHeaderBytes + 1).fill(9)
    writeDataHeader(frame, { id: 1, piece: 2, offset: 3 })
    expect(parseRawFrame(frame)).toEqual({
      type: 'data',
      id: 1,
      piece: 2,
      offset: 3,
      bytes: Uint8Array.of(9),
    })
  })

  it('carries the longest list in frames of the largest size', () => {
    const list = new Uint8Array(maxPieceListBytes).map((_, at) => at % 251)
    const frames = [...listFrames(7, list)]
    expect(Math.max(...frames.map((frame) => frame.length))).toBe(maxFrameBytes)
    const parts = frames.map((frame) => parseRawFrame(frame).bytes)
    expect(Buffer.compare(Buffer.concat(parts), list)).toBe(0)
  })

  it('is not made of nothing, or of more than fits', () => {
    for (const length of [0, maxChunkBytes + 1]) {
      const bytes = new Uint8Array(length)
      expect(() => encodeData({ id: 1, piece: 1, offset: 0, bytes })).toThrow(RangeError)
    }
  })

  it.each([
    ['without bytes', '010001020000030400050607'],
    ['cut in the header', '01000102'],
    ['of an unknown kind', '080001020000030400050607ff'],
    ['of kind 0', '000001020000030400050607ff'],
    ['with a second byte', '010101020000030400050607ff'],
    ['of a piece beyond any blob', '010001020001000000000000ff'],
    ['past the end of the largest piece', '010001020000000001000000ff'],
    ['of a list beyond any list', '02000102ffffffff00000000ff'],
    ['past the end of its list', '02000102000000050000000500ff'],
  ])('is refused %s', (_, frame) => {
    expect(() => decodeFrame(unhex(frame))).toThrow(malformed)
  })

  it('is refused empty or too large', () => {
    expect(() => decodeFrame(new Uint8Array())).toThrow(malformed)
    expect(() => decodeFrame(new Uint8Array(maxFrameBytes + 1).fill(1, 0, 1))).toThrow(malformed)
  })
})
