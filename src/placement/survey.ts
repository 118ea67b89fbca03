/** What of a rule's images is here: looked at, not remembered, so that it is true at the moment it is told. */
import type { Digest } from '../oci/oci.ts'
import { bringImage, type Library } from './image.ts'
import { matchingTags, type TagNames } from './matching.ts'
import { type KeepRule, platformsOf } from './rule.ts'

export interface RuleSurvey {
  /** Tags that match. */
  images: number
  /** Of these, how many other nodes of the site are to hold. */
  others: number
  complete: number
  /** Of the parts that are missing, as far as the manifests that are here say. */
  missingBytes: number
  /** When the oldest tag that is not complete was written. */
  missingSinceMs?: number
  /** Some of the images that are not complete, as `repository:tag`. */
  missing: { name: string; digest: string; parts: number; sinceMs: number }[]
}

const maxNamed = 100

export interface SurveyOptions {
  isOurs?(rule: KeepRule, digest: Digest): boolean
  onImage?(survey: RuleSurvey): void
  signal: AbortSignal
}

/** `onImage` is called after each image, for a person who waits. */
export async function surveyRule(
  rule: KeepRule,
  names: TagNames,
  library: Library,
  { signal, isOurs = () => true, onImage = () => undefined }: SurveyOptions,
): Promise<RuleSurvey> {
  const survey: RuleSurvey = { images: 0, others: 0, complete: 0, missingBytes: 0, missing: [] }
  for await (const { repository, tag, entry } of matchingTags(names, [rule], { signal })) {
    const { digest, writtenMs } = entry
    survey.images++
    if (rule.isShared && !isOurs(rule, digest)) {
      survey.others++
      continue
    }
    const options = { platforms: platformsOf([rule]), signal }
    const { missing } = await bringImage({ repository, ...entry }, library, options)
    if (missing.length === 0) survey.complete++
    else {
      survey.missingBytes += missing.reduce((sum, { size }) => sum + size, 0)
      survey.missingSinceMs = Math.min(survey.missingSinceMs ?? writtenMs, writtenMs)
      if (survey.missing.length < maxNamed) {
        survey.missing.push({
          name: `${repository}:${tag}`,
          digest,
          parts: missing.length,
          sinceMs: writtenMs,
        })
      }
    }
    onImage(survey)
  }
  return survey
}
