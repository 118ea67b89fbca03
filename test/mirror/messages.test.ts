import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Answer,
  answerCodec,
  type Question,
  questionCodec,
  reasonText,
} from '../../src/mirror/messages.ts'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { digestOf } from './fake-upstream.ts'

const repository = parseRepository('docker.io/library/alpine')
const digest = digestOf('one')
const questions: Question[] = [
  { about: 'tag', repository, tag: parseTag('3'), maxAgeMs: 300_000 },
  { about: 'manifest', repository, digest },
  { about: 'referrers', repository, digest, maxAgeMs: 300_000 },
]
const answers: Answer[] = [
  { answer: 'there', digest, ageMs: 7, records: [new Uint8Array([1]), new Uint8Array([2, 3])] },
  { answer: 'absent' },
  { answer: 'failed', reason: 'docker.io cannot be reached' },
  { answer: 'limited', reason: 'docker.io asks to wait', retryAfterMs: 60_000 },
  { answer: 'refused', reason: 'not for everyone' },
  { answer: 'unusable', reason: 'no manifest' },
  { answer: 'listed', digests: [digest], ageMs: 7, records: [new Uint8Array([1])] },
]
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('questions about upstreams and their answers', () => {
  it('have these bytes', () => {
    expect(questions.map((question) => hex(questionCodec.encode(question)))).toMatchInlineSnapshot(`
      [
        "a46374616761336561626f757463746167686d61784167654d731a000493e06a7265706f7369746f72797818646f636b65722e696f2f6c6962726172792f616c70696e65",
        "a36561626f7574686d616e69666573746664696765737478477368613235363a373639326333616433353430626238303363303230623361656536366364383838373132333233346561306336653731343363306164643733666634333165646a7265706f7369746f72797818646f636b65722e696f2f6c6962726172792f616c70696e65",
        "a46561626f7574697265666572726572736664696765737478477368613235363a37363932633361643335343062623830336330323062336165653636636438383837313233323334656130633665373134336330616464373366663433316564686d61784167654d731a000493e06a7265706f7369746f72797818646f636b65722e696f2f6c6962726172792f616c70696e65",
      ]
    `)
    expect(answers.map((answer) => hex(answerCodec.encode(answer)))).toMatchInlineSnapshot(`
      [
        "a4656167654d730766616e737765726574686572656664696765737478477368613235363a37363932633361643335343062623830336330323062336165653636636438383837313233323334656130633665373134336330616464373366663433316564677265636f726473824101420203",
        "a166616e7377657266616273656e74",
        "a266616e73776572666661696c656466726561736f6e781b646f636b65722e696f2063616e6e6f742062652072656163686564",
        "a366616e73776572676c696d6974656466726561736f6e76646f636b65722e696f2061736b7320746f20776169746c726574727941667465724d7319ea60",
        "a266616e73776572677265667573656466726561736f6e706e6f7420666f722065766572796f6e65",
        "a266616e7377657268756e757361626c6566726561736f6e6b6e6f206d616e6966657374",
        "a4656167654d730766616e73776572666c697374656467646967657374738178477368613235363a37363932633361643335343062623830336330323062336165653636636438383837313233323334656130633665373134336330616464373366663433316564677265636f726473814101",
      ]
    `)
  })

  it('are read as they were written', () => {
    for (const question of questions)
      expect(questionCodec.decode(questionCodec.encode(question))).toEqual(question)
    for (const answer of answers) expect(answerCodec.decode(answerCodec.encode(answer))).toEqual(answer)
  })

  it.each([questionCodec, answerCodec])(
    'are refused or the same, whatever was done to their bytes',
    (codec) => {
      const samples =
        codec === questionCodec
          ? questions.map((one) => questionCodec.encode(one))
          : answers.map((one) => answerCodec.encode(one))
      const sample = fc.constantFrom(...samples)
      const change = fc.tuple(fc.nat(400), fc.integer({ min: 0, max: 255 }))
      const expectRefusedOrSame = (bytes: Uint8Array): void => {
        try {
          const read = codec.decode(bytes)
          expect(hex((codec.encode as (value: unknown) => Uint8Array)(read))).toBe(hex(bytes))
        } catch (error) {
          expect(error).toMatchObject({ code: 'MALFORMED' })
        }
      }
      fc.assert(
        fc.property(sample, fc.array(change, { minLength: 1, maxLength: 3 }), (original, changes) => {
          const mutated = original.slice()
          for (const [at, byte] of changes) mutated[at % mutated.length] = byte
          expectRefusedOrSame(mutated)
        }),
        { numRuns: 2000 },
      )
      fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), expectRefusedOrSame))
    },
  )

  it.each<[string, object]>([
    ['a name that is none', { ...questions[0], repository: 'Docker.io/x' }],
    ['a tag that is none', { ...questions[0], tag: '../3' }],
    ['a digest that is none', { ...questions[1], digest: 'sha256:0' }],
    ['a negative age', { ...questions[0], maxAgeMs: -1 }],
    ['referrers of what is no digest', { ...questions[2], digest: 'sha256:0' }],
  ])('are no question with %s', (_, question) => {
    expect(() => questionCodec.decode(questionCodec.encode(question as Question))).toThrow(
      expect.objectContaining({ code: 'MALFORMED' }),
    )
  })

  it('do not say that an upstream is to be left alone for more than a day', () => {
    for (const answer of ['failed', 'limited'] as const) {
      const said = { answer, reason: 'no', retryAfterMs: 24 * 3_600_000 + 1 }
      expect(() => answerCodec.decode(answerCodec.encode(said))).toThrow(
        expect.objectContaining({ code: 'MALFORMED' }),
      )
    }
  })

  it('hold whatever reason an upstream is behind', () => {
    const reason = reasonText('x'.repeat(10_000))
    expect(answerCodec.decode(answerCodec.encode({ answer: 'failed', reason }))).toEqual({
      answer: 'failed',
      reason,
    })
  })
})
