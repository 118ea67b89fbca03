/** What has to be held here: a keep rule, how it is read, and what it matches. */
import { hash } from 'node:crypto'
import { CodedError } from '../base/base.ts'
import {
  excerpt,
  formatPlatform,
  type Platform,
  parsePlatform,
  parseRepository,
  parseTag,
  type Repository,
  type Tag,
} from '../oci/oci.ts'
import { matchesGlob } from '../records/records.ts'

export interface KeepRule {
  /** Follows from what the rule says: the same rule has the same id everywhere. */
  readonly id: string
  /** A pattern over repositories: `*` is any text without `/`, `**` any text at all. */
  readonly repositories: string
  /** A pattern over tags; absent for all of them. */
  readonly tags?: string
  /** Of an index, the manifests of these alone; empty for all. */
  readonly platforms: readonly Platform[]
  /** The nodes of this one's site that have the rule share its images among them: each image is held by one. */
  readonly isShared: boolean
}

/** The rule can match nothing, or there are too many. */
export class KeepRuleError extends CodedError {
  readonly code = 'KEEP_RULE'
}

export interface RuleText {
  repositories: string
  tags?: string
  platforms?: string[]
  isShared?: boolean
}

const maxPatternLength = 256
const maxPlatforms = 16
const idLength = 12

/** Throws KeepRuleError, saying what was given and what would do. */
export function createRule({ repositories, tags, platforms = [], isShared = false }: RuleText): KeepRule {
  checkPattern(repositories, parseRepository, 'repository; write a name, with * for any text without /')
  if (tags !== undefined) checkPattern(tags, parseTag, 'tag; write a tag, with * for any text')
  const sorted = [...new Set(platforms)].sort()
  const every = tags === undefined || tags === '*' || tags === '**'
  const parts = [repositories, every ? '*' : tags, ...sorted, ...(isShared ? ['shared'] : [])]
  return {
    id: hash('sha256', JSON.stringify(parts), 'hex').slice(0, idLength),
    repositories,
    ...(every ? {} : { tags }),
    platforms: createPlatforms(sorted),
    isShared,
  }
}

/** Throws KeepRuleError for what is no platform, and for too many. */
export function createPlatforms(texts: string[]): Platform[] {
  if (texts.length > maxPlatforms) {
    throw new KeepRuleError(`at most ${maxPlatforms} platforms can be named; ${texts.length} were given`)
  }
  return texts.map(readPlatform)
}

/** What `createRule` reads. */
export function ruleText({ repositories, tags, platforms, isShared }: KeepRule): RuleText {
  return {
    repositories,
    ...(tags === undefined ? {} : { tags }),
    ...(platforms.length === 0 ? {} : { platforms: platforms.map(formatPlatform) }),
    ...(isShared ? { isShared } : {}),
  }
}

export function matchesRepository(rule: KeepRule, repository: Repository): boolean {
  return matchesGlob(rule.repositories, repository)
}

export function matchesTag(rule: KeepRule, repository: Repository, tag: Tag): boolean {
  return matchesRepository(rule, repository) && (rule.tags === undefined || matchesGlob(rule.tags, tag))
}

/** Of the rules that match an image, together: the platforms to hold, empty for all. */
export function platformsOf(rules: readonly KeepRule[]): readonly Platform[] {
  if (rules.some(({ platforms }) => platforms.length === 0)) return []
  return rules.flatMap(({ platforms }) => platforms)
}

/** A pattern that no name can match is a typing error, and one that would silently keep nothing. */
function checkPattern(pattern: string, parse: (text: string) => unknown, expected: string): void {
  try {
    if (pattern.length > maxPatternLength)
      throw new KeepRuleError(`longer than ${maxPatternLength} characters`)
    parse(pattern.replaceAll('*', 'x'))
  } catch (cause) {
    throw new KeepRuleError(`"${excerpt(pattern)}" matches no ${expected}`, { cause })
  }
}

function readPlatform(text: string): Platform {
  const platform = parsePlatform(text)
  if (platform !== undefined) return platform
  throw new KeepRuleError(
    `"${excerpt(text)}" is no platform; write OS/ARCHITECTURE, such as linux/arm64 or linux/arm/v7`,
  )
}
