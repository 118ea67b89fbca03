import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Asker, anonymous, askerOf } from '../../src/access/access.ts'
import { Rights } from '../../src/access/rights.ts'
import { type AccessRight, type AccessRule, accessRights, matchesGlob } from '../../src/records/records.ts'
import { person, robot } from './fixture.ts'

const asker = (name: string, groups: string[] = []): Asker => {
  const value = name.startsWith('robot$') ? robot('secret') : person('password')
  return askerOf({ name, value: { ...value, groups }, version: 'v', writtenMs: 0, author: '' })
}
const ann = asker('ann', ['ci'])
const bob = asker('bob')
const deploy = asker('robot$deploy')

const rule = (repositories: string, who: string[], may: AccessRight[]): AccessRule => ({
  repositories,
  who,
  may,
})
const mayOf = (rules: AccessRule[], who: Asker, repository: string): AccessRight[] =>
  accessRights.filter((right) => new Rights(rules).may(who, repository, right))

describe('what an asker may', () => {
  it('is everything while there are no rules', () => {
    expect(mayOf([], anonymous, 'any/thing')).toEqual(['pull', 'push', 'delete'])
  })

  const rules = [
    rule('team/secret', ['user:ann'], ['pull']),
    rule('team/**', ['group:ci', 'robot:deploy'], ['pull', 'push']),
    rule('team/**', ['user:bob'], ['pull', 'delete']),
    rule('docker.io/**', ['anonymous'], ['pull']),
    rule('own/**', ['anyone'], ['pull']),
  ]

  it.each<[string, Asker, string, AccessRight[]]>([
    ['by name, where that rule is the first', ann, 'team/secret', ['pull']],
    ['by a group', ann, 'team/app', ['pull', 'push']],
    ['of a robot', deploy, 'team/app', ['pull', 'push']],
    ['by a later rule, where the earlier name others', bob, 'team/app', ['pull', 'delete']],
    ['of anyone who signed in', bob, 'own/app', ['pull']],
    ['not of anyone, who did not', anonymous, 'own/app', []],
    ['of an anonymous one', anonymous, 'docker.io/library/alpine', ['pull']],
    ['as an anonymous one, where no rule names who signed in', bob, 'docker.io/library/alpine', ['pull']],
    ['nothing, where no rule matches', bob, 'other/app', []],
    ['nothing more by a right to push than that', ann, 'team/app', ['pull', 'push']],
  ])('is decided %s', (_, who, repository, may) => {
    expect(mayOf(rules, who, repository)).toEqual(may)
  })

  it.each<[string, AccessRule[], Asker, boolean]>([
    ['by name', [rule('**', ['user:ann'], ['admin'])], ann, true],
    ['by a group', [rule('**', ['group:ci'], ['pull', 'admin'])], ann, true],
    ['of nobody else', [rule('**', ['group:ci'], ['admin'])], bob, false],
    [
      'whatever is said of some repositories before',
      [rule('team/**', ['user:ann'], []), rule('**', ['user:ann'], ['admin'])],
      ann,
      true,
    ],
    [
      'not by a later rule for all',
      [rule('**', ['user:ann'], ['pull']), rule('**', ['user:ann'], ['admin'])],
      ann,
      false,
    ],
    ['not of some repositories', [rule('team/**', ['user:ann'], ['admin'])], ann, false],
    ['not of who did not sign in', [rule('**', ['anonymous'], ['admin'])], anonymous, false],
    ['not where there are no rules', [], ann, false],
  ])('is to administer accounts %s', (_, given, who, expected) => {
    expect(new Rights(given).mayInCluster(who, 'admin')).toBe(expected)
  })

  it('is to let hosts in by a right of its own, which administering accounts is not', () => {
    const rights = new Rights([rule('**', ['user:ann'], ['admin']), rule('**', ['user:bob'], ['members'])])
    const clusterRights = (who: Asker) =>
      (['admin', 'members'] as const).filter((right) => rights.mayInCluster(who, right))
    expect([ann, bob, anonymous].map(clusterRights)).toEqual([['admin'], ['members'], []])
    expect(mayOf([rule('**', ['user:bob'], ['members'])], bob, 'team/app')).toEqual(['members'])
  })

  it('is nothing where the first rule that matches permits nothing', () => {
    const given = [rule('team/**', ['user:ann'], []), rule('**', ['anyone', 'anonymous'], ['pull'])]
    expect(mayOf(given, ann, 'team/app')).toEqual([])
    expect(mayOf(given, bob, 'team/app')).toEqual(['pull'])
  })

  it('of a user is not that of a robot or a group with the same name', () => {
    const given = [rule('**', ['user:deploy', 'group:bob'], ['pull'])]
    expect(mayOf(given, deploy, 'app')).toEqual([])
    expect(mayOf(given, bob, 'app')).toEqual([])
  })
})

describe('a pattern', () => {
  it.each([
    ['team', 'team', true],
    ['team', 'team/app', false],
    ['team', 'teammates', false],
    ['team/*', 'team/app', true],
    ['team/*', 'team/a/b', false],
    ['team/*', 'team', false],
    ['team/**', 'team/a/b', true],
    ['team/**', 'team', false],
    ['team/**', 'teams/app', false],
    ['team*', 'team/app', false],
    ['*', 'app', true],
    ['*', 'team/app', false],
    ['**', 'team/app', true],
    ['**/app', 'team/app', true],
    ['**/app', 'team/snapp', false],
    ['', 'app', false],
    ['', '', true],
  ])('"%s" and the repository "%s" fit: %s', (pattern, repository, fits) => {
    expect(mayOf([rule(pattern, ['anyone'], ['pull'])], bob, repository)).toEqual(fits ? ['pull'] : [])
  })
})

describe('for everything', () => {
  it.each<[string, AccessRule[], boolean]>([
    ['there is a right where all is open', [], true],
    ['there is a right by a rule about all', [rule('**', ['anonymous'], ['pull'])], true],
    [
      'there is none behind one that hides something',
      [rule('a', ['anonymous'], []), rule('**', ['anonymous'], ['pull'])],
      false,
    ],
    ['there is none by a rule about some', [rule('a/**', ['anonymous'], ['pull'])], false],
    ['there is none by a rule for others', [rule('**', ['anyone'], ['pull'])], false],
  ])('%s', (_, rules, may) => {
    expect(new Rights(rules).mayEverywhere(anonymous, 'pull')).toBe(may)
  })
})

it('decides alike for more askers and repositories than are remembered', () => {
  const given = [
    ...Array.from({ length: 200 }, (_, n) => rule(`other-${n}/**`, ['user:eve', 'group:ci'], [])),
    rule('team/**', ['group:ci'], ['pull']),
    rule('**', ['anonymous'], ['push']),
  ]
  const rights = new Rights(given)
  const wrong: number[] = []
  for (let n = 0; n < 2000; n++) {
    const who = asker(`user-${n}`, n % 2 === 0 ? ['ci'] : [])
    const may = Array.from({ length: 7 }, (_, m) => rights.may(who, `team/${m}`, 'pull'))
    if (may.some((one) => one !== (n % 2 === 0)) || rights.may(who, 'other-7/x', 'push') !== (n % 2 !== 0))
      wrong.push(n)
  }
  expect(wrong).toEqual([])
})

it('explains by which rule, and that none matched', () => {
  const rights = new Rights([rule('a', ['user:bob'], []), rule('team/**', ['group:ci'], ['pull'])])
  expect(rights.explain(ann, 'team/app')).toEqual({
    may: ['pull'],
    rule: 2,
    why: 'rule 2 is the first that matches: "team/**" for group:ci',
  })
  expect(rights.explain(bob, 'team/app')).toEqual({
    may: [],
    why: 'no access rule matches, and what none permits is refused',
  })
  expect(new Rights([]).explain(bob, 'x')).toMatchObject({ may: ['pull', 'push', 'delete'] })
})

it('is what reading the rules from the top says, whatever they are', () => {
  const names = fc.constantFrom('user:ann', 'user:bob', 'group:ci', 'robot:deploy', 'anyone', 'anonymous')
  const pattern = fc.constantFrom('**', '*', 'a', 'a/*', 'a/**', '**/b', 'a*', 'b/**')
  const anyRule = fc.record({
    repositories: pattern,
    who: fc.array(names, { maxLength: 3 }),
    may: fc.subarray([...accessRights]),
  })
  const repository = fc.constantFrom('a', 'b', 'a/b', 'a/b/c', 'ab', 'b/a')
  const who = fc.constantFrom(ann, bob, deploy, anonymous)
  fc.assert(
    fc.property(
      fc.array(anyRule, { minLength: 1, maxLength: 6 }),
      who,
      repository,
      (rules, asking, wanted) => {
        const first = (own: readonly string[]) =>
          rules.find(
            ({ repositories, who: named }) =>
              matchesGlob(repositories, wanted) && named.some((one) => own.includes(one)),
          )
        const deciding = first(asking.names) ?? first(['anonymous'])
        expect(mayOf(rules, asking, wanted)).toEqual(
          accessRights.filter((right) => deciding?.may.includes(right)),
        )
      },
    ),
    { numRuns: 300 },
  )
})
