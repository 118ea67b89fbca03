import { describe, expect, it } from 'vitest'
import { parseReference, parseRepository, parseTag } from '../../src/oci/oci.ts'

describe('parseRepository', () => {
  it.each([
    'app',
    'team/app',
    'docker.io/library/alpine',
    'a/b/c/d',
    'a-b',
    'a--b',
    'a_b',
    'a__b',
    'a.b',
    '0',
    'a'.repeat(255),
  ])('accepts %s', (name) => {
    expect(parseRepository(name)).toBe(name)
  })

  it.each([
    '',
    'App',
    'a//b',
    '/a',
    'a/',
    '.a',
    'a.',
    'a..b',
    '../a',
    'a/../b',
    'a/./b',
    'a___b',
    'a_-b',
    'a b',
    'a\u0000b',
    'ä',
    'a:b',
    'a@b',
    'a'.repeat(256),
    `${'a-'.repeat(120)}!`,
  ])('refuses %j with NAME_INVALID', (name) => {
    expect(() => parseRepository(name)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }))
  })
})

describe('parseTag', () => {
  it.each(['latest', 'v1.0', '_x', 'A', '1', `a${'b'.repeat(127)}`, 'sha256-abc.sig'])(
    'accepts %s',
    (tag) => {
      expect(parseTag(tag)).toBe(tag)
    },
  )

  it.each(['', '.a', '-a', 'a b', 'a/b', 'a:b', `a${'b'.repeat(128)}`, 'ä', 'a\n'])(
    'refuses %j with TAG_INVALID',
    (tag) => {
      expect(() => parseTag(tag)).toThrow(expect.objectContaining({ code: 'TAG_INVALID' }))
    },
  )
})

describe('parseReference', () => {
  it('tells tags from digests by the colon', () => {
    const digest = `sha256:${'0'.repeat(64)}`
    expect(parseReference('latest')).toEqual({ tag: 'latest' })
    expect(parseReference(digest)).toEqual({ digest })
    expect(() => parseReference('sha256:abc')).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }))
  })
})
