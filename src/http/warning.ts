/** What a client is told of an answer that is older than the operator wants, or of a push that has fewer copies. */
import type { Staleness } from '../registry/registry.ts'

/** RFC 7234, section 5.5: 110 for what is stale, 111 when it was to be checked just now, in vain. */
export function warningHeader(stale: Staleness | undefined): { Warning?: string } {
  if (stale === undefined) return {}
  const { upstream, checkedMs, asked } = stale
  const since =
    checkedMs === undefined ? 'not checked before' : `checked ${new Date(checkedMs).toISOString()}`
  return {
    Warning: asked
      ? `111 shoal "Revalidation Failed: ${upstream} does not answer; ${since}"`
      : `110 shoal "Response is Stale: ${upstream} cannot be reached; ${since}"`,
  }
}

/** RFC 7234, section 5.5.7: 199 for whatever a person should see. */
export function shortageHeader(copies: { held: number; wanted: number } | undefined): { Warning?: string } {
  if (copies === undefined || copies.held >= copies.wanted) return {}
  const { held, wanted } = copies
  return {
    Warning: `199 shoal "Short of copies: ${held} of ${wanted} members hold all of it; the others are brought theirs as soon as can be"`,
  }
}
