import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesGlob } from '../../src/records/glob.ts'
import { beats } from '../../src/records/order.ts'
import { openPolicy, type Policy, policyText, policyValue } from '../../src/records/policy.ts'
import { parseKeyText, type SignedRecord, sealRecord, signRecord } from '../../src/records/record.ts'
import { Rules } from '../../src/records/rules.ts'
import type { Identity } from '../../src/wire/wire.ts'
import { alice, authority, bob, digestOf, identity, mediaType } from './fixture.ts'

describe('a pattern', () => {
  it.each([
    ['team/app', 'team/app', true],
    ['team/app', 'team/apps', false],
    ['team/*', 'team/app', true],
    ['team/*', 'team/app/web', false],
    ['team/*', 'team', false],
    ['team/**', 'team/app/web', true],
    ['team/**', 'team', false],
    ['**', 'anything/at/all', true],
    ['**/web', 'team/app/web', true],
    ['**/web', 'web', false],
    ['*-dev', 'app-dev', true],
    ['v*.*', 'v1.2', true],
    ['v*.*', 'v1', false],
    ['*', '', true],
    ['a.c', 'abc', false],
  ])('%s on %s: %s', (pattern, text, matches) => {
    expect(matchesGlob(pattern, text)).toBe(matches)
  })

  it('does what the regular expression would', () => {
    const piece = fc.constantFrom('a', 'b', '/', '*', '**')
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 })
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 5 }), text, (pieces, given) => {
        const pattern = pieces.join('').replaceAll(/\*{3,}/g, '**')
        const expression = pattern.replaceAll('**', '.+').replaceAll('*', '[^/]*').replaceAll('.+', '.*')
        expect(matchesGlob(pattern, given)).toBe(new RegExp(`^${expression}$`).test(given))
      }),
    )
  })
})

const policy: Policy = {
  rules: [
    { repositories: 'team/secret', authors: [] },
    { repositories: 'team/**', authors: [alice.peerId] },
    { repositories: 'shared/*', authors: [alice.peerId, bob.peerId] },
  ],
  immutable: [{ repositories: 'rel/**', tags: 'v*' }],
  sealers: [identity(8).peerId],
  banned: [identity(9).peerId],
}
const rules = new Rules(policyValue(policy, openPolicy, 2), authority.publicKey)

describe('a policy', () => {
  it.each([
    [alice, 'tteam/app:v1', undefined],
    [bob, 'tteam/app:v1', /rule 2 of the policy lets 12D3Koo\w+ publish to "team\/\*\*"/],
    [bob, `mteam/app@${digestOf('x')}`, /rule 2/],
    [bob, 'tshared/app:v1', undefined],
    [bob, 'tteamwork:v1', undefined],
    [alice, 'tteam/secret:v1', /rule 1 of the policy lets nobody but the cluster authority/],
    [authority, 'tteam/secret:v1', undefined],
    [identity(9), 'tanywhere:v1', /is banned/],
    [alice, 'p', /only the cluster authority may sign a policy/],
  ])('lets or does not let: %#', (author, key, refusal) => {
    const given = rules.refusal(author.publicKey, parseKeyText(key))
    if (refusal === undefined) expect(given).toBeUndefined()
    else expect(given).toMatch(refusal)
  })

  it('is shown as it was set', () => {
    expect(policyText(policyValue(policy, openPolicy, 0))).toEqual(policy)
  })

  it.each([
    { ...policy, banned: ['bob'] },
    { ...policy, rules: [{ repositories: 'Team/*', authors: [] }] },
    { ...policy, rules: [{ repositories: '', authors: [] }] },
    { ...policy, immutable: [{ repositories: 'a b', tags: '*' }] },
  ])('is refused when it can mean nothing: %#', (given) => {
    expect(() => policyValue(given, openPolicy, 0)).toThrowError(
      expect.objectContaining({ code: 'MALFORMED' }),
    )
  })
})

it.each([
  [{ ...policy, rules: [{ repositories: 'team/*', authors: ['bob'] }] }, 'rules[0].authors: "bob" is not'],
  [{ ...policy, sealers: ['bob'] }, 'sealers: "bob" is not'],
  [{ ...policy, accessMaxAge: '1 day' }, 'accessMaxAge: "1 day" is no time from 10m to 400d'],
  [{ ...policy, accessMaxAge: '9m' }, 'accessMaxAge: "9m" is no time'],
  [{ ...policy, banned: ['bob'] }, 'banned: "bob" is not'],
  [{ ...policy, administrators: ['bob'] }, 'administrators: "bob" is not'],
  [
    { ...policy, quotas: [{ repositories: '**', bytes: '10 GB' }] },
    'quotas[0]: "10 GB" is not a size such as 10GiB',
  ],
  [{ ...policy, quotas: [{ repositories: '**' }] }, 'quotas[0]: it limits nothing'],
  [{ ...policy, retention: [{ repositories: 'ci/**' }] }, 'retention[0]: it keeps nothing'],
  [
    { ...policy, retention: [{ repositories: 'ci/**', keepTags: 0, keepMatching: [], keepWithin: '0s' }] },
    'retention[0]: it keeps nothing',
  ],
  [
    { ...policy, retention: [{ repositories: 'ci/**', keepPulledWithin: '0s' }] },
    'retention[0]: it keeps nothing',
  ],
  [
    { ...policy, retention: [{ repositories: 'ci/**', keepPulledWithin: 'lately' }] },
    'retention[0]: "lately" is not a duration such as 30d',
  ],
  [
    { ...policy, retention: [{ repositories: 'ci/**', keepWithin: 'a month' }] },
    'retention[0]: "a month" is not a duration such as 30d',
  ],
  [
    { ...policy, access: [{ repositories: '**', who: ['user:Ann'], may: [] }] },
    'access[0]: "user:Ann" names nobody; write user:NAME, group:NAME, robot:NAME, with names of up to 64 of a-z',
  ],
  [
    { ...policy, access: [{ repositories: 'team/**', who: ['user:ann'], may: ['admin'] }] },
    '"admin" is about accounts, not about repositories: write it with "**", not with "team/**"',
  ],
  [
    { ...policy, access: [{ repositories: 'team/**', who: ['user:ann'], may: ['members'] }] },
    '"members" is about members and invitations, not about repositories: write it with "**", not with "team/**"',
  ],
  [
    { ...policy, access: [{ repositories: '**', who: ['user:ann', 'anyone'], may: ['admin'] }] },
    '"admin" is given to accounts and groups by name, not to anyone',
  ],
  [{ ...policy, copies: 0 }, 'copies is 0; a number of copies is from 1 to 16'],
  [{ ...policy, placement: [{ repositories: 'Team', copies: 2 }] }, '"Team" matches no repository'],
  [
    { ...policy, placement: [{ repositories: '**', copies: 2, ack: 3 }] },
    'placement[0].ack is 3, and there are to be 2 copies',
  ],
] satisfies [Policy, string][])('a policy that is refused says where it is wrong: %#', (given, message) => {
  expect(() => policyValue(given, openPolicy, 0)).toThrow(message)
})

it('says how many copies of what there are to be', () => {
  const placement = [
    { repositories: 'team/**', copies: 3, ack: 2 },
    { repositories: '**', copies: 1 },
  ]
  const value = policyValue({ ...policy, placement, copies: 4 }, openPolicy, 0)
  expect(policyText(value)).toMatchObject({ placement, copies: 4 })
  expect(policyText(policyValue(policy, openPolicy, 0))).not.toHaveProperty('placement')
})

interface Given {
  author: Identity
  ms: number
  counter: number
  content: string | null
  /** Who seals it, if it is live, and when. */
  sealer?: Identity | undefined
  sealedMs?: number
}

describe('of two records', () => {
  const authors = [authority, alice, bob]
  const sealer = identity(8)
  const record = fc
    .record({
      author: fc.nat(2),
      ms: fc.nat(3),
      counter: fc.nat(1),
      content: fc.constantFrom('a', 'b', null),
      sealer: fc.constantFrom(undefined, authority, sealer, alice),
      sealedMs: fc.nat(1),
    })
    .map(({ author, ...rest }) => ({ author: authors[author] ?? alice, ...rest }))
  const signed = (repository: string, given: Given): SignedRecord => {
    const value = given.content === null ? null : { digest: digestOf(given.content), mediaType, size: 1 }
    const record = signRecord(
      { kind: 'tag', key: `${repository}:v1`, time: [given.ms, given.counter], value },
      given.author,
    )
    return given.sealer === undefined || value === null
      ? record
      : sealRecord(record, given.sealedMs ?? 0, given.sealer)
  }

  it.each(['rel/app', 'other/app'])('in %s one stands, and the order has no circles', (repository) => {
    fc.assert(
      fc.property(record, record, record, (a, b, c) => {
        const [x, y, z] = [signed(repository, a), signed(repository, b), signed(repository, c)]
        const same = Buffer.compare(x.envelope.bytes, y.envelope.bytes) === 0
        expect(beats(x, y, rules) !== beats(y, x, rules)).toBe(!same)
        if (beats(x, y, rules) && beats(y, z, rules)) expect(beats(x, z, rules)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  const at = (
    ms: number,
    author = alice,
    content: string | null = 'a',
    repository = 'rel/app',
  ): SignedRecord => signed(repository, { author, ms, counter: 0, content })
  const sealedAt = (sealedMs: number, by: Identity, ms = 3): SignedRecord =>
    signed('rel/app', { author: alice, ms, counter: 0, content: 'a', sealer: by, sealedMs })
  const open = new Rules(openPolicy, authority.publicKey)

  it.each([
    ['the newer', at(2), at(1), open],
    ['the newer tombstone', at(2, alice, null), at(1), open],
    ['the earlier, of an immutable tag', at(3), at(4), rules],
    ['the newer, of what was written before the tag became immutable', at(2), at(1), rules],
    ['the deletion, of what was written before the tag became immutable', at(2, alice, null), at(1), rules],
    ['what was written since, of an immutable tag', at(3), at(2, alice, null), rules],
    ['the live one, of an immutable tag', at(3), at(4, alice, null), rules],
    ["the authority's, of an immutable tag", at(1, authority), at(2), rules],
    ["the authority's tombstone, of an immutable tag", at(1, authority, null), at(2), rules],
    ["the authority's newer, of an immutable tag", at(2, authority), at(1, authority), rules],
    ['the sealed one, of an immutable tag', sealedAt(9, sealer, 4), at(3), rules],
    [
      'what was sealed earlier, whenever it was written',
      sealedAt(8, sealer, 4),
      sealedAt(9, sealer, 3),
      rules,
    ],
    [
      'what a sealer sealed, before what another member did',
      sealedAt(9, sealer, 4),
      sealedAt(8, bob, 3),
      rules,
    ],
    ['what was written earlier, where neither seal counts', sealedAt(9, bob, 3), sealedAt(8, bob, 4), rules],
    ["the authority's, of a sealed tag", at(4, authority), sealedAt(1, sealer), rules],
    ["the authority's tombstone, of a sealed tag", at(4, authority, null), sealedAt(1, authority), rules],
    [
      'the newer where no immutable pattern applies',
      at(2, bob, 'b', 'other'),
      at(1, alice, 'a', 'other'),
      rules,
    ],
  ])('stands %s', (_, stands, falls, given) => {
    expect(beats(stands, falls, given)).toBe(true)
    expect(beats(falls, stands, given)).toBe(false)
  })
})

it('is shown with the age that it was given, however that is written', () => {
  const shown = ['90m', '120m', '24h', '36h', '7d'].map(
    (accessMaxAge) => policyText(policyValue({ ...policy, accessMaxAge }, openPolicy, 0)).accessMaxAge,
  )
  expect(shown).toEqual(['90m', '2h', '24h', '36h', '7d'])
})

it('keeps the time since when a pattern is immutable over later policies', () => {
  const first = policyValue(policy, openPolicy, 100)
  const immutable = [...policy.immutable, { repositories: 'new/*', tags: '*' }]
  const second = policyValue({ ...policy, immutable }, first, 200)
  expect(second.immutable.map(({ since }) => since)).toEqual([100, 200])
})
