import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bringAnswer, bringRequest, reasonText } from '../../node/cluster/bring-messages.ts'
import { digestBytes, parseRepository } from '../../src/oci/oci.ts'
import type { Codec } from '../../src/wire/wire.ts'
import { expectMalformedAtMost } from '../wire/malformed.ts'

const digest = digestBytes(Buffer.from('a blob'))
const repository = parseRepository('docker.io/library/alpine')
const failed = { answer: 'failed', reason: 'answers 503', trouble: 'paused', retryAfterMs: 1500 } as const

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('messages about bringing a blob from an upstream', () => {
  test('have one encoding each', () => {
    expect({
      request: hex(bringRequest.encode({ digest, repository })),
      coming: hex(bringAnswer.encode({ answer: 'coming' })),
      here: hex(bringAnswer.encode({ answer: 'here' })),
      absent: hex(bringAnswer.encode({ answer: 'absent' })),
      failed: hex(bringAnswer.encode(failed)),
    }).toMatchInlineSnapshot(`
      {
        "absent": "a166616e7377657266616273656e74",
        "coming": "a166616e7377657266636f6d696e67",
        "failed": "a466616e73776572666661696c656466726561736f6e6b616e7377657273203530336774726f75626c65667061757365646c726574727941667465724d731905dc",
        "here": "a166616e737765726468657265",
        "request": "a26664696765737478477368613235363a353537306133636630323230376631643335326432636665613338356265346263306232623934313466363036626161366635356462363062323332663232316a7265706f7369746f72797818646f636b65722e696f2f6c6962726172792f616c70696e65",
      }
    `)
  })

  test('come back as they were sent, and a trouble that is not known is as good as any', () => {
    expect(bringRequest.decode(bringRequest.encode({ digest, repository }))).toEqual({ digest, repository })
    expect(bringAnswer.decode(bringAnswer.encode(failed))).toEqual(failed)
    const newer = { ...failed, trouble: 'moody' } as unknown as typeof failed
    expect(bringAnswer.decode(bringAnswer.encode(newer))).toMatchObject({ trouble: 'unreachable' })
  })

  const codecs: [string, Codec<unknown>, Uint8Array][] = [
    ['a request', bringRequest, bringRequest.encode({ digest, repository })],
    ['an answer', bringAnswer, bringAnswer.encode(failed)],
  ]

  test.each(codecs)('%s: anything else is malformed, and nothing else is thrown', (_name, codec, sample) =>
    expectMalformedAtMost(codec, sample),
  )

  test('tell a reason of any length, without what would garble a log', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 2000 }), (text) => {
        const { reason } = { reason: reasonText(text) }
        expect(bringAnswer.decode(bringAnswer.encode({ ...failed, reason }))).toMatchObject({ reason })
      }),
    )
    expect(reasonText('a\nb')).toBe('a?b')
  })
})
