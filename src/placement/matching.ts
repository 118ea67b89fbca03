/** Which tags of the ledger the rules match, read a page at a time. */
import type { Digest, Repository, Tag } from '../oci/oci.ts'
import type { Names, TagEntry } from '../records/records.ts'
import { type KeepRule, matchesRepository, matchesTag } from './rule.ts'

export interface MatchingTag {
  repository: Repository
  tag: Tag
  entry: TagEntry
  /** All that match it; never empty. */
  rules: KeepRule[]
}

export type TagNames = Pick<Names, 'findTag' | 'listTags' | 'listRepositories'>

const pageLength = 256

export async function* matchingTags(
  names: TagNames,
  rules: readonly KeepRule[],
  { signal }: { signal: AbortSignal },
): AsyncGenerator<MatchingTag> {
  if (rules.length === 0) return
  for await (const repository of pages((page) => names.listRepositories(page))) {
    signal.throwIfAborted()
    const near = rules.filter((rule) => matchesRepository(rule, repository))
    if (near.length === 0) continue
    for await (const tag of pages((page) => names.listTags(repository, page))) {
      signal.throwIfAborted()
      const matching = await findMatching(names, near, repository, tag)
      if (matching !== undefined) yield matching
    }
  }
}

/** `undefined` when the tag is gone, or no rule matches it. */
export async function findMatching(
  names: Pick<Names, 'findTag'>,
  rules: readonly KeepRule[],
  repository: Repository,
  tag: Tag,
): Promise<MatchingTag | undefined> {
  const matching = rules.filter((rule) => matchesTag(rule, repository, tag))
  if (matching.length === 0) return undefined
  const entry = await names.findTag(repository, tag)
  return entry === undefined ? undefined : { repository, tag, entry, rules: matching }
}

/** Whether a rule wants the manifest here for its tags, even where its own record has not come or does not count. */
export async function isKept(
  names: Pick<Names, 'tagsOf'>,
  rules: readonly KeepRule[],
  repository: Repository,
  digest: Digest,
): Promise<boolean> {
  if (rules.length === 0) return false
  const tags = await names.tagsOf(repository, digest)
  return tags.some((tag) => rules.some((rule) => matchesTag(rule, repository, tag)))
}

async function* pages<T extends string>(
  list: (page: { after?: string; limit: number }) => Promise<T[]>,
): AsyncGenerator<T> {
  for (let after: T | undefined; ; ) {
    const page = await list({ limit: pageLength, ...(after === undefined ? {} : { after }) })
    yield* page
    after = page.at(-1)
    if (page.length < pageLength) return
  }
}
