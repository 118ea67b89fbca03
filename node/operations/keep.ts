/** Operations on the keep rules, and on what they ask for. */
import { CodedError } from '../../src/base/base.ts'
import type { Digest } from '../../src/oci/oci.ts'
import {
  type KeepRule,
  type RuleSurvey,
  type RuleText,
  ruleText,
  surveyRule,
} from '../../src/placement/placement.ts'
import { libraryOf } from '../keep-sources.ts'
import { checkSite, isHolder, type Sharing } from '../site-shares.ts'
import type { Operation } from './operations.ts'

/** A rule as it is shown. */
export interface ShownRule extends RuleText {
  id: string
}

export interface ListedRule extends ShownRule, RuleSurvey {}

/** No rule has that id or pattern. */
export class RuleUnknownError extends CodedError {
  readonly code = 'RULE_UNKNOWN'
}

export const addRule: Operation<'keep-add'> = async ({ node }, text) => {
  checkSite(node.settings.site, text)
  return shown(await node.keepRules.add(text))
}

export const removeRules: Operation<'keep-rm'> = async ({ node }, { rule }) => {
  const removed = await node.keepRules.remove(rule)
  if (removed.length > 0) return { removed: removed.map(shown) }
  throw new RuleUnknownError(`no keep rule has the id or the pattern "${rule}"; shoal keep ls shows them`)
}

export const listRules: Operation<'keep-ls'> = async ({ node, member }, _params, emit, { signal }) => {
  const { site } = node.settings
  const shares =
    member === undefined
      ? {}
      : { isOurs: holderIn({ self: member.swarm.peerId, site, members: member.swarm.members }) }
  const library = libraryOf(node)
  const rules: ListedRule[] = []
  let images = 0
  const onImage = (): void => {
    images++
    if (images % eventEvery === 0) emit({ images })
  }
  for (const rule of node.keepRules.list()) {
    rules.push({
      ...shown(rule),
      ...(await surveyRule(rule, node.names, library, { ...shares, signal, onImage })),
    })
  }
  return { rules }
}

const eventEvery = 100

function shown(rule: KeepRule): ShownRule {
  return { id: rule.id, ...ruleText(rule) }
}

function holderIn(sharing: Sharing) {
  return (rule: KeepRule, digest: Digest): boolean => isHolder(sharing, rule, digest)
}
