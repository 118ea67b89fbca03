/** A policy's rules about room, as they are written, and as they stand in a record: quotas, and which tags are kept. */

import { parseDuration, parseSize, writeDuration, writeSize } from '../base/base.ts'
import { excerpt } from '../oci/oci.ts'
import { MalformedError } from '../wire/wire.ts'
import type { QuotaValue, RetentionValue } from './policy-schema.ts'

/** What the repositories that match may have together. */
export interface QuotaRule {
  repositories: string
  /** Such as `10GiB`, of what their tags name, each blob once. */
  bytes?: string
  tags?: number
}

/** Which tags stay: those that any of it keeps. The others are deleted. */
export interface RetentionRule {
  repositories: string
  /** So many of each repository, the newest. */
  keepTags?: number
  /** Patterns over tags. */
  keepMatching?: string[]
  /** Such as `30d`: those that were written since. */
  keepWithin?: string
  /** Such as `90d`: those that a client of any node pulled since, or that were written since. */
  keepPulledWithin?: string
}

export function quotaValue({ repositories, bytes, tags }: QuotaRule): QuotaValue {
  if (bytes === undefined && tags === undefined)
    throw new MalformedError('it limits nothing; give bytes, such as "10GiB", or tags, such as 100')
  return {
    repositories,
    ...(bytes === undefined ? {} : { bytes: read(bytes, parseSize, 'a size such as 10GiB') }),
    ...(tags === undefined ? {} : { tags: checkCount(tags) }),
  }
}

export function quotaText({ repositories, bytes, tags }: QuotaValue): QuotaRule {
  return {
    repositories,
    ...(bytes === undefined ? {} : { bytes: writeSize(bytes) }),
    ...(tags === undefined ? {} : { tags }),
  }
}

export function retentionValue(rule: RetentionRule): RetentionValue {
  const { repositories, keepTags, keepMatching, keepWithin, keepPulledWithin } = rule
  // It would delete every tag, and is more likely a rule that is not finished.
  const within = readSpan(keepWithin)
  const pulledWithin = readSpan(keepPulledWithin)
  if (!keepTags && !keepMatching?.length && !within && !pulledWithin)
    throw new MalformedError('it keeps nothing; give keepTags, keepMatching, keepWithin or keepPulledWithin')
  return {
    repositories,
    ...(keepTags === undefined ? {} : { keepTags: checkCount(keepTags) }),
    ...(keepMatching === undefined ? {} : { keepMatching }),
    ...(within === undefined ? {} : { keepWithinMs: within }),
    ...(pulledWithin === undefined ? {} : { keepPulledWithinMs: pulledWithin }),
  }
}

export function retentionText({ keepWithinMs, keepPulledWithinMs, ...rule }: RetentionValue): RetentionRule {
  return {
    ...rule,
    ...(keepWithinMs === undefined ? {} : { keepWithin: writeDuration(keepWithinMs) }),
    ...(keepPulledWithinMs === undefined ? {} : { keepPulledWithin: writeDuration(keepPulledWithinMs) }),
  }
}

function readSpan(given: string | undefined): number | undefined {
  return given === undefined ? undefined : read(given, parseDuration, 'a duration such as 30d')
}

function read(given: string, parse: (text: string) => number | undefined, expected: string): number {
  const value = parse(given)
  if (value === undefined) throw new MalformedError(`"${excerpt(given)}" is not ${expected}`)
  return value
}

function checkCount(count: number): number {
  if (Number.isSafeInteger(count) && count >= 0) return count
  throw new MalformedError(`${count} is not a number of tags`)
}
