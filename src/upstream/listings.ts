/** Lists of names, page by page: a repository's tags, and all repositories (distribution-spec, "Listing Tags"; `_catalog`). */
import type { Availability } from './availability.ts'
import { readWhole } from './bodies.ts'
import { nextPath } from './referrers.ts'
import type { Answer } from './transport.ts'

/** Some registries give all tags in one answer. */
const maxBytes = 32 * 1024 * 1024
/** A registry that goes on and on is not followed. */
const maxPages = 10_000

export async function* listNames(
  first: string,
  key: 'tags' | 'repositories',
  get: (path: string) => Promise<Answer | undefined>,
  availability: Availability,
): AsyncGenerator<string, void, undefined> {
  let path: string | undefined = first
  for (let page = 0; page < maxPages && path !== undefined; page++) {
    const answer = await get(path)
    if (answer === undefined) return
    const bytes = await readWhole(answer, maxBytes, availability, {})
    yield* namesIn(bytes, key, availability)
    path = nextPath(answer)
  }
}

function namesIn(bytes: Uint8Array, key: string, availability: Availability): string[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    const names: unknown = Object(value)[key] ?? []
    if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw availability.trouble('wrong', `answers with no list of ${key}`)
}
