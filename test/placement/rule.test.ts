import { describe, expect, it } from 'vitest'
import { parseRepository, parseTag } from '../../src/oci/oci.ts'
import {
  createRule,
  KeepRuleError,
  matchesTag,
  type RuleText,
  ruleText,
} from '../../src/placement/placement.ts'

const matches = (text: RuleText, repository: string, tag: string): boolean =>
  matchesTag(createRule(text), parseRepository(repository), parseTag(tag))

describe('a keep rule', () => {
  it.each([
    ['apps/*', undefined, 'apps/web', '1', true],
    ['apps/*', undefined, 'apps/web/ui', '1', false],
    ['apps/**', undefined, 'apps/web/ui', '1', true],
    ['apps/*', undefined, 'other/web', '1', false],
    ['apps/*', 'v*', 'apps/web', 'v1.2', true],
    ['apps/*', 'v*', 'apps/web', 'latest', false],
    ['apps/web', '*', 'apps/web', 'latest', true],
    ['docker.io/**', undefined, 'docker.io/library/alpine', '3', true],
  ])('%s with tags %s over %s:%s', (repositories, tags, repository, tag, expected) => {
    expect(matches({ repositories, ...(tags === undefined ? {} : { tags }) }, repository, tag)).toBe(expected)
  })

  it('has the same id for the same words in another order, and another for other words', () => {
    const { id } = createRule({ repositories: 'apps/*', platforms: ['linux/arm64', 'linux/amd64'] })
    expect(id).toMatch(/^[0-9a-f]{12}$/)
    const again = {
      repositories: 'apps/*',
      tags: '*',
      platforms: ['linux/amd64', 'linux/arm64', 'linux/amd64'],
    }
    expect(createRule(again).id).toBe(id)
    expect(createRule({ repositories: 'apps/*' }).id).not.toBe(id)
    expect(createRule({ ...again, isShared: true }).id).not.toBe(id)
    expect(createRule({ repositories: 'apps/*', tags: 'v*' }).id).not.toBe(id)
  })

  it('reads what it wrote', () => {
    const rule = createRule({
      repositories: 'apps/**',
      tags: 'v*',
      platforms: ['linux/arm/v7'],
      isShared: true,
    })
    expect(createRule(ruleText(rule))).toEqual(rule)
  })

  it.each<[string, RuleText]>([
    ['no repository', { repositories: '' }],
    ['upper case', { repositories: 'Apps/*' }],
    ['a path that climbs', { repositories: '../*' }],
    ['a tag in the repository', { repositories: 'apps/web:1' }],
    ['a pattern that is too long', { repositories: `${'a/'.repeat(200)}*` }],
    ['a tag that is none', { repositories: 'apps/*', tags: 'v*/x' }],
    ['an empty tag', { repositories: 'apps/*', tags: '' }],
    ['a platform that is none', { repositories: 'apps/*', platforms: ['arm64'] }],
    [
      'too many platforms',
      { repositories: 'apps/*', platforms: Array.from({ length: 17 }, (_, i) => `a${i}/b`) },
    ],
  ])('refuses %s', (_what, text) => {
    expect(() => createRule(text)).toThrow(KeepRuleError)
  })
})
