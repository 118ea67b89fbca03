/** What an upstream wants to see before it answers: `WWW-Authenticate` (RFC 9110, 11.6.1; Docker's token authentication). */
import type { AnswerHeaders } from './transport.ts'

export type Challenge =
  | { scheme: 'basic' }
  | {
      scheme: 'bearer'
      realm: URL
      service: string | undefined
      /** Those that are wanted for everything, such as `aws`; the repository's own is known without asking. */
      scopes: string[]
    }

const maxHeaderLength = 8 * 1024
const maxScopes = 8

/** The one that can be met: by a token if that is offered, else by a password. `undefined` where none can. */
export function readChallenge(headers: AnswerHeaders): Challenge | undefined {
  const offered = parseChallenges(headers['www-authenticate'] ?? '')
  for (const { scheme, parameters } of offered) {
    const realm = scheme === 'bearer' ? URL.parse(parameters.get('realm') ?? '') : null
    if (realm === null) continue
    return {
      scheme: 'bearer',
      realm,
      service: parameters.get('service'),
      scopes: scopesIn(parameters.get('scope')),
    }
  }
  return offered.some(({ scheme }) => scheme === 'basic') ? { scheme: 'basic' } : undefined
}

export function isSameChallenge(one: Challenge, other: Challenge): boolean {
  if (one.scheme === 'basic' || other.scheme === 'basic') return one.scheme === other.scheme
  return (
    one.realm.href === other.realm.href &&
    one.service === other.service &&
    one.scopes.join(' ') === other.scopes.join(' ')
  )
}

interface Offer {
  scheme: string
  parameters: Map<string, string>
}

/** What follows something that is no challenge is not read. */
function parseChallenges(header: string): Offer[] {
  const offers: Offer[] = []
  if (header.length > maxHeaderLength) return offers
  const part = /[\s,]*([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s",]+))?/y
  for (let match = part.exec(header); match !== null; match = part.exec(header)) {
    const [, name = '', value] = match
    const last = offers.at(-1)
    if (value === undefined) offers.push({ scheme: name.toLowerCase(), parameters: new Map() })
    else if (last !== undefined) last.parameters.set(name.toLowerCase(), unquote(value))
    else break
  }
  return offers
}

function unquote(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value
}

/** A repository's scope in a challenge is left out: it may ask for more than to pull, and for another one. */
function scopesIn(scope: string | undefined): string[] {
  const scopes = (scope ?? '').split(' ').filter((one) => one !== '' && !one.startsWith('repository:'))
  return [...new Set(scopes)].sort().slice(0, maxScopes)
}
