/**
 * What has to be here, always: keep rules, what the images that they match consist of, and the loop that brings what is
 * missing. The plan of an image is pure; the loop gets the ledger, the store and the cluster injected.
 */
export {
  type BringOptions,
  bringImage,
  type Image,
  type Library,
  type PartState,
  type Supply,
  type Survey,
} from './image.ts'
export { ImagePlan, type Part } from './image-plan.ts'
export { type Keeper, type KeeperOptions, openKeeper } from './keeper.ts'
export { isKept } from './matching.ts'
export { type PoliteSupplyOptions, politeSupply } from './polite-supply.ts'
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
export { type RuleSurvey, surveyRule } from './survey.ts'
