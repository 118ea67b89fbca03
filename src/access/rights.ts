/**
 * What a policy's access rules permit: the first that matches the repository and who asks decides, and what none permits is
 * refused. Whoever signed in and is named by no rule for a repository has what anonymous askers have, as they could sign out.
 */
import {
  type AccessRight,
  type AccessRule,
  accessRights,
  type ClusterRight,
  matchesGlob,
} from '../records/records.ts'
import { type Asker, anonymous } from './asker.ts'

export interface Explanation {
  /** What may be done. */
  may: AccessRight[]
  /** From 1, as they stand in the policy; absent where none matched. */
  rule?: number
  /** In words. */
  why: string
}

interface Decision {
  may: ReadonlySet<AccessRight>
  index: number
  /** Found as for an anonymous asker. */
  isAsAnonymous: boolean
}

interface CompiledRule {
  index: number
  repositories: string
  /** What every repository that matches begins with: most rules are passed over by it. */
  prefix: string
  who: ReadonlySet<string>
  may: ReadonlySet<AccessRight>
}

/** Of those about repositories: where nobody says who administers, that is for the node's own commands. */
const all: readonly AccessRight[] = ['pull', 'push', 'delete']
const everything: Decision = { may: new Set(all), index: -1, isAsAnonymous: false }
const nothing: Decision = { may: new Set(), index: -1, isAsAnonymous: false }
/** What is remembered of one asker: which rules name it, so that those for others are passed over once, and what they decided. */
interface Remembered {
  rules: readonly CompiledRule[]
  decisions: Map<string, Decision>
}

/** Decisions that are remembered, each of some 300 bytes, which is what so many rules of a list take. */
const maxRemembered = 10_000
const rulesPerDecision = 32

/** What rules permit somebody, and why. */
export function explainAccess(rules: readonly AccessRule[], asker: Asker, repository: string): Explanation {
  return new Rights(rules).explain(asker, repository)
}

export class Rights {
  readonly #rules: readonly AccessRule[]
  readonly #compiled: readonly CompiledRule[]
  /** By asker, and then by repository: no key has to be put together. */
  readonly #askers = new Map<string, Remembered>()
  #remembered = 0

  constructor(rules: readonly AccessRule[]) {
    this.#rules = rules
    this.#compiled = rules.map(({ repositories, who, may }, index) => ({
      index,
      repositories,
      prefix: repositories.replace(/\*.*$/s, ''),
      who: new Set(who),
      may: new Set(may),
    }))
  }

  get areOpen(): boolean {
    return this.#rules.length === 0
  }

  may(asker: Asker, repository: string, right: AccessRight): boolean {
    return this.#decide(asker, repository).may.has(right)
  }

  /** Whether the right is there for every repository that there could be. */
  mayEverywhere(asker: Asker, right: AccessRight): boolean {
    if (this.areOpen) return true
    for (const [index, { who, may }] of this.#compiled.entries()) {
      if (!isNamed(who, asker)) continue
      if (!may.has(right)) return false
      if (this.#rules[index]?.repositories === '**') return true
    }
    return false
  }

  /** Whether a rule that names the asker gives the right anywhere; another may stand before it. */
  maySomewhere(asker: Asker, right: AccessRight): boolean {
    return (
      this.areOpen ||
      this.#compiled.some(
        ({ who, may }) => may.has(right) && (isNamed(who, asker) || isNamed(who, anonymous)),
      )
    )
  }

  /** Of the rules for all repositories the first that names the asker decides. */
  mayInCluster(asker: Asker, right: ClusterRight): boolean {
    const index = this.#rules.findIndex(
      ({ repositories, who }) => repositories === '**' && asker.names.some((name) => who.includes(name)),
    )
    return asker.name !== undefined && this.#rules[index]?.may.includes(right) === true
  }

  explain(asker: Asker, repository: string): Explanation {
    if (this.areOpen)
      return { may: [...all], why: 'the policy has no access rules, so everybody may everything' }
    const { may, index, isAsAnonymous } = this.#decide(asker, repository)
    const rule = this.#rules[index]
    if (rule === undefined)
      return { may: [], why: 'no access rule matches, and what none permits is refused' }
    const matched = `rule ${index + 1} is the first that matches: "${rule.repositories}" for ${rule.who.join(', ')}`
    return {
      may: accessRights.filter((right) => may.has(right)),
      rule: index + 1,
      why: isAsAnonymous
        ? `no rule names the asker there, who has what anonymous askers have; ${matched}`
        : matched,
    }
  }

  #decide(asker: Asker, repository: string): Decision {
    if (this.areOpen) return everything
    const known = this.#askers.get(asker.key)?.decisions.get(repository)
    if (known !== undefined) return known
    const decision = this.#find(asker, repository) ?? nothing
    this.#makeRoom(1)
    this.#of(asker).decisions.set(repository, decision)
    return decision
  }

  #find(asker: Asker, repository: string): Decision | undefined {
    const own = this.#findNaming(asker, repository, false)
    return own ?? (asker === anonymous ? undefined : this.#findNaming(anonymous, repository, true))
  }

  #findNaming(asker: Asker, repository: string, isAsAnonymous: boolean): Decision | undefined {
    for (const { index, prefix, repositories, may } of this.#of(asker).rules) {
      if (repository.startsWith(prefix) && matchesGlob(repositories, repository))
        return { may, index, isAsAnonymous }
    }
    return undefined
  }

  #of(asker: Asker): Remembered {
    const known = this.#askers.get(asker.key)
    if (known !== undefined) return known
    const rules = this.#compiled.filter(({ who }) => isNamed(who, asker))
    this.#makeRoom(1 + rules.length / rulesPerDecision)
    const found = { rules, decisions: new Map<string, Decision>() }
    this.#askers.set(asker.key, found)
    return found
  }

  #makeRoom(wanted: number): void {
    this.#remembered += wanted
    if (this.#remembered <= maxRemembered) return
    this.#askers.clear()
    this.#remembered = wanted
  }
}

function isNamed(who: ReadonlySet<string>, { names }: Asker): boolean {
  return names.some((name) => who.has(name))
}
