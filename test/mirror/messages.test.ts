import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Answer,
  answerCodec,
  failure,
  isAnswerTo,
  type Message,
  type Question,
  questionCodec,
} from '../../src/mirror/messages.ts'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import { digestOf } from './fake-upstream.ts'

const repository = parseRepository('docker.io/library/alpine')
const digest = digestOf('one')
const questions: Question[] = [
  { about: 'tag', repository, tag: parseTag('3'), maxAgeMs: 300_000 },
  { about: 'manifest', repository, digest },
  { about: 'referrers', repository, digest, maxAgeMs: 300_000 },
  { about: 'blob', repository, digest },
]
const answers: Message[] = [
  { answer: 'working' },
  { answer: 'there', digest, ageMs: 7, records: [new Uint8Array([1]), new Uint8Array([2, 3])] },
  { answer: 'absent' },
  { answer: 'failed', trouble: 'unreachable', reason: 'cannot be reached' },
  { answer: 'failed', trouble: 'paused', reason: 'asks to wait', retryAfterMs: 60_000 },
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
        "a36561626f757464626c6f626664696765737478477368613235363a373639326333616433353430626238303363303230623361656536366364383838373132333233346561306336653731343363306164643733666634333165646a7265706f7369746f72797818646f636b65722e696f2f6c6962726172792f616c70696e65",
      ]
    `)
    expect(answers.map((answer) => hex(answerCodec.encode(answer)))).toMatchInlineSnapshot(`
      [
        "a166616e7377657267776f726b696e67",
        "a4656167654d730766616e737765726574686572656664696765737478477368613235363a37363932633361643335343062623830336330323062336165653636636438383837313233323334656130633665373134336330616464373366663433316564677265636f726473824101420203",
        "a166616e7377657266616273656e74",
        "a366616e73776572666661696c656466726561736f6e7163616e6e6f7420626520726561636865646774726f75626c656b756e726561636861626c65",
        "a466616e73776572666661696c656466726561736f6e6c61736b7320746f20776169746774726f75626c65667061757365646c726574727941667465724d7319ea60",
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
    const dayMs = 24 * 3_600_000
    const said = { ...failure('paused', 'no'), retryAfterMs: dayMs + 1 }
    expect(() => answerCodec.decode(answerCodec.encode(said))).toThrow(
      expect.objectContaining({ code: 'MALFORMED' }),
    )
    expect(failure('paused', 'no', dayMs + 0.5)).toHaveProperty('retryAfterMs', dayMs)
    expect(failure('paused', 'no', -1)).toHaveProperty('retryAfterMs', 0)
  })

  it('name no trouble that is not known', () => {
    const said = { ...failure('wrong', 'no'), trouble: 'moody' as 'wrong' }
    expect(() => answerCodec.decode(answerCodec.encode(said))).toThrow(
      expect.objectContaining({ code: 'MALFORMED' }),
    )
  })

  it('hold whatever reason an upstream is behind, without what would garble a log', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 2000 }), (reason) => {
        const said = failure('wrong', reason, 5)
        expect(answerCodec.decode(answerCodec.encode(said))).toEqual(said)
      }),
    )
    expect(failure('wrong', 'a\nb').reason).toBe('a?b')
    expect(failure('wrong', 'x'.repeat(10_000)).reason.length).toBeLessThanOrEqual(512)
  })

  it('are believed only about what was asked', () => {
    const there: Answer = { answer: 'there', digest: digestOf('two'), ageMs: 0, records: [] }
    const listed: Answer = { answer: 'listed', digests: [], ageMs: 0, records: [] }
    const fits = questions.map((question) => [isAnswerTo(question, there), isAnswerTo(question, listed)])
    expect(fits).toEqual([
      [true, false],
      [false, false],
      [false, true],
      [false, false],
    ])
  })
})
