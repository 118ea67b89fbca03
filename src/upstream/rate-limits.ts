/** What an answer says of how often one may ask. */
import type { AnswerHeaders } from './transport.ts'

/** How long to wait, from `Retry-After` as seconds or as a date (RFC 9110, 10.2.3); `undefined` where it does not say. */
export function pauseOf(headers: AnswerHeaders, nowMs: number): number | undefined {
  const text = headers['retry-after']
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  // Date.parse makes a date of almost anything.
  const until = text.endsWith(' GMT') ? Date.parse(text) : Number.NaN
  if (Number.isNaN(until)) return undefined
  // By the clock that wrote it, where that can be told.
  const written = Date.parse(headers.date ?? '')
  return Math.max(0, until - (Number.isNaN(written) ? nowMs : written))
}

/** The `RateLimit-*` headers as registries send them, `100;w=21600`, and with their older `X-` names. */
export function limitsOf(headers: AnswerHeaders): { limit?: number; remaining?: number } {
  const limit = numberIn(headers['ratelimit-limit'] ?? headers['x-ratelimit-limit'])
  const remaining = numberIn(headers['ratelimit-remaining'] ?? headers['x-ratelimit-remaining'])
  return { ...(limit === undefined ? {} : { limit }), ...(remaining === undefined ? {} : { remaining }) }
}

function numberIn(header: string | undefined): number | undefined {
  const [, digits] = /^\s*(\d{1,12})\s*(?:[;,]|$)/.exec(header ?? '') ?? []
  return digits === undefined ? undefined : Number(digits)
}
