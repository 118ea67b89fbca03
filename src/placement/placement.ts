/**
 * Where content has to be. Keep rules say what has to be here, always; copies, how many members have to have what was pushed:
 * its owners, which every node reckons alike. What both bring is images with all that belongs to them. The loops get the
 * ledger, the store, the cluster and the time injected.
 */
export { Backlog, type Debt, type DebtTable, type ImageName, keyOf } from './backlog.ts'
export { isNamed } from './claims.ts'
export { type Copies, type CopiesOptions, openCopies } from './copies.ts'
export { ackOf } from './copy-rule.ts'
export {
  type BringOptions,
  bringImage,
  type Image,
  isRequired,
  type Library,
  type PartState,
  type Supply,
  type Survey,
} from './image.ts'
export { ImagePlan, type Part } from './image-plan.ts'
export { type Keeper, type KeeperOptions, openKeeper } from './keeper.ts'
export { isKept } from './matching.ts'
export { maxRoom, type Offer, roomOf } from './owners.ts'
export { maxAsked } from './placer.ts'
export { type PoliteSupplyOptions, politeSupply } from './polite-supply.ts'
export { Roster, type RosterRow } from './roster.ts'
export {
  createPlatforms,
  createRule,
  type KeepRule,
  KeepRuleError,
  matchesTag,
  type RuleText,
  ruleText,
} from './rule.ts'
export { openRuleBook, type RuleBook, type RuleTable } from './rule-book.ts'
export type { CopyAnswer, CopyMode, CopyPeers, CopyQuestion } from './securing.ts'
export { type RuleSurvey, surveyRule } from './survey.ts'
