import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  algorithmOf,
  digestBytes,
  excerpt,
  hexOf,
  isDigest,
  parseAlgorithm,
  parseDigest,
} from '../../src/oci/oci.ts'

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })

describe('parseDigest', () => {
  it('accepts every sha256 and sha512 digest and keeps its parts', () => {
    fc.assert(
      fc.property(fc.oneof(hex(64), hex(128)), (digits) => {
        const algorithm = digits.length === 64 ? 'sha256' : 'sha512'
        const digest = parseDigest(`${algorithm}:${digits}`)
        expect(algorithmOf(digest)).toBe(algorithm)
        expect(hexOf(digest)).toBe(digits)
      }),
    )
  })

  it.each([
    '',
    'sha256:',
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'a'.repeat(65)}`,
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'g'.repeat(64)}`,
    `sha512:${'a'.repeat(64)}`,
    `md5:${'a'.repeat(32)}`,
    `sha256:${'a'.repeat(64)}\n`,
    ` sha256:${'a'.repeat(64)}`,
    `sha256:../../${'a'.repeat(58)}`,
    'constructor',
  ])('refuses %j with DIGEST_INVALID', (text) => {
    expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }))
  })

  it('never accepts what could be a path', () => {
    fc.assert(fc.property(fc.string(), (text) => !isDigest(text) || /^sha(256|512):[0-9a-f]+$/.test(text)))
  })
})

describe('digestBytes', () => {
  it('is the digest that sha256sum and sha512sum print', () => {
    expect(digestBytes(Buffer.from('abc'))).toBe(
      'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
    expect(digestBytes(Buffer.from('abc'), 'sha512')).toMatch(/^sha512:ddaf35a193617abacc417349ae204131/)
  })
})

describe('parseAlgorithm', () => {
  it('knows sha256 and sha512 and nothing else', () => {
    expect(parseAlgorithm('sha512')).toBe('sha512')
    expect(() => parseAlgorithm('md5')).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }))
  })
})

describe('excerpt', () => {
  it('is short and holds no control character, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0, max: 300 }).map((code) => String.fromCharCode(code)) }),
        (text) => {
          const shown = excerpt(text, 20)
          expect(shown.length).toBeLessThanOrEqual(21)
          expect([...shown].some((char) => char < ' ')).toBe(false)
        },
      ),
    )
  })
})
