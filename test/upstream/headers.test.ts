/** Headers of upstreams: challenges, and what they say of how often one may ask. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readChallenge } from '../../src/upstream/challenges.ts'
import { limitsOf, pauseOf } from '../../src/upstream/rate-limits.ts'

const challengeIn = (header: string) => readChallenge({ 'www-authenticate': header })
const bearer = (realm: string, service?: string, scopes: string[] = []) => ({
  scheme: 'bearer',
  realm: new URL(realm),
  service,
  scopes,
})

describe('a challenge', () => {
  it.each([
    [
      'Bearer realm="https://auth.test/token",service="up.test"',
      bearer('https://auth.test/token', 'up.test'),
    ],
    ['bearer   Realm = "https://auth.test/token" , service=up', bearer('https://auth.test/token', 'up')],
    ['Bearer realm="https://auth.test/?a=\\"b\\""', bearer('https://auth.test/?a=%22b%22')],
    ['Basic realm="x", Bearer realm="https://auth.test/"', bearer('https://auth.test/')],
    ['Negotiate, Basic realm="x, y=z"', { scheme: 'basic' }],
    ['Negotiate, BASIC realm="x"', { scheme: 'basic' }],
    [
      'Bearer realm="https://a.test/",scope="b a repository:x:push a",error="insufficient_scope"',
      bearer('https://a.test/', undefined, ['a', 'b']),
    ],
    ['Bearer realm="no url", Basic realm="x"', { scheme: 'basic' }],
    ['Bearer realm="no url"', undefined],
    ['Bearer', undefined],
    ['realm="https://a.test/"', undefined],
    ['', undefined],
    [`Bearer realm="https://a.test/${'x'.repeat(9_000)}"`, undefined],
  ])('is read from %j', (header, challenge) => {
    expect(challengeIn(header)).toEqual(challenge)
  })

  it('is read from anything without a fault', () => {
    const part = fc.constantFrom(
      'Bearer',
      'realm',
      '=',
      '"',
      '\\',
      ',',
      ' ',
      'https://a.test/',
      'scope',
      'Basic',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part).map((parts) => parts.join('')),
        ),
        (header) => {
          const challenge = challengeIn(header)
          expect([undefined, 'basic', 'bearer']).toContain(challenge?.scheme)
        },
      ),
    )
  })

  it('is read in a time that grows with its length alone', () => {
    const began = performance.now()
    challengeIn(`Bearer ${'a="'.repeat(2_700)}`)
    challengeIn(`Bearer a="${'\\'.repeat(8_000)}`)
    expect(performance.now() - began).toBeLessThan(1_000)
  })
})

describe('how often one may ask', () => {
  const nowMs = Date.UTC(2026, 0, 1)

  it.each([
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '120' }, 120_000],
    [{ 'retry-after': 'Thu, 01 Jan 2026 00:01:00 GMT' }, 60_000],
    [{ 'retry-after': 'Thu, 01 Jan 2025 00:01:00 GMT' }, 0],
    [{ 'retry-after': '-1' }, undefined],
    [{ 'retry-after': '1e9' }, undefined],
    [{ 'retry-after': 'soon' }, undefined],
    [{}, undefined],
  ])('%j is a pause of %s', (headers, ms) => {
    expect(pauseOf(headers, nowMs)).toBe(ms)
  })

  it.each([
    [
      { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' },
      { limit: 100, remaining: 76 },
    ],
    [{ 'ratelimit-limit': '100, 100;w=60' }, { limit: 100 }],
    [
      { 'x-ratelimit-limit': '5', 'x-ratelimit-remaining': '0' },
      { limit: 5, remaining: 0 },
    ],
    [{ 'ratelimit-limit': 'many', 'ratelimit-remaining': '9'.repeat(40) }, {}],
    [{}, {}],
  ])('%j is a limit of %j', (headers, limits) => {
    expect(limitsOf(headers)).toEqual(limits)
  })
})
