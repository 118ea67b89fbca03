/** Search as one types: repositories and tags whose names hold what was typed, the likeliest first. */
import type { Names } from '../../../src/records/records.ts'
import type { SearchAnswer } from '../answers/images.ts'
import type { PageListing } from './listing.ts'
import type { Visitor } from './visitors.ts'

const maxFound = 20
/** Tags that one search looks through, and repositories whose tags it does. */
const maxTags = 50_000
const maxRepositories = 2_000
const tagsAtOnce = 1000

export async function search(
  names: Pick<Names, 'listTags'>,
  listing: Pick<PageListing, 'repositoryNames'>,
  typed: string,
  { visitor, signal }: { visitor: Visitor; signal: AbortSignal },
): Promise<SearchAnswer> {
  if (typed === '') return { repositories: [], tags: [], isCut: false }
  const colon = typed.indexOf(':')
  // `app:1` looks for tags in repositories; `app` for both.
  const [inRepository, inTag] = colon < 0 ? ['', typed] : [typed.slice(0, colon), typed.slice(colon + 1)]
  const { names: all, isCut } = await listing.repositoryNames(visitor)
  const repositories = colon < 0 ? best(all, typed) : []
  const tags: SearchAnswer['tags'] = []
  let searched = 0
  for (const repository of best(all, inRepository, maxRepositories)) {
    for (let after: string | undefined; searched < maxTags && tags.length < maxFound; ) {
      signal.throwIfAborted()
      const batch = await names.listTags(repository, {
        limit: tagsAtOnce,
        ...(after === undefined ? {} : { after }),
      })
      searched += batch.length
      for (const tag of batch) {
        if (tags.length < maxFound && tag.toLowerCase().includes(inTag)) tags.push({ repository, tag })
      }
      after = batch.at(-1)
      if (batch.length < tagsAtOnce) break
    }
  }
  return { repositories, tags, isCut: isCut || searched >= maxTags }
}

/** What is the word, then what begins with it, at the start of the name or of its last part, then what holds it. */
function best<T extends string>(names: T[], word: string, limit = maxFound): T[] {
  const rank = (name: string): number => {
    if (name === word) return 0
    if (name.startsWith(word)) return 1
    return name.slice(name.lastIndexOf('/') + 1).startsWith(word) ? 2 : 3
  }
  return names
    .filter((name) => name.includes(word))
    .map((name) => ({ name, rank: rank(name) }))
    .sort((a, b) => a.rank - b.rank)
    .slice(0, limit)
    .map(({ name }) => name)
}
