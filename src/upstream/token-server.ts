/** A token server: gives tokens for scopes, to anyone or to who has credentials (Docker's token authentication, and OAuth 2). */
import { type Json, OciError, parseJson } from '../oci/oci.ts'
import type { Availability } from './availability.ts'
import { discard, readWhole } from './bodies.ts'
import type { Challenge } from './challenges.ts'
import type { Sender } from './sender.ts'
import type { Answer, Request } from './transport.ts'
import type { Credentials } from './upstream.ts'

export interface Token {
  value: string
  lifetimeMs: number
}

export interface TokenServerOptions {
  sender: Sender
  availability: Availability
  /** The upstream's own. */
  url: URL
  authHosts: string[]
  credentials: Credentials | undefined
}

type Bearer = Extract<Challenge, { scheme: 'bearer' }>

const maxAnswerBytes = 64 * 1024
/** What fits a header, and cannot end one. */
const tokenPattern = /^[\x21-\x7e]{1,12288}$/
/** Where the answer does not say (Docker's token authentication, "Token Response Fields"). */
const defaultLifetimeMs = 60_000
const maxLifetimeMs = 3_600_000

/** `undefined` where it gives none to somebody without credentials. Throws UpstreamUnavailableError. */
export async function fetchToken(
  options: TokenServerOptions,
  challenge: Bearer,
  scopes: string[],
): Promise<Token | undefined> {
  const { availability, credentials } = options
  const whose = `its token server ${challenge.realm.host} `
  if (!isAsSafe(options.url, challenge.realm)) {
    throw availability.trouble('refused', `${whose}is not asked over ${challenge.realm.protocol}//`)
  }
  if (credentials !== undefined && !mayHaveCredentials(options, challenge.realm)) {
    const advice = 'is not known to be its own, and gets no credentials; if it should, add it to authHosts'
    throw availability.trouble('refused', `${whose}${advice}`)
  }
  const answer = await ask(options, whose, challenge, scopes)
  if (answer.status === 200) {
    const bytes = await readWhole(answer, maxAnswerBytes, availability, {})
    const token = readToken(bytes)
    if (token !== undefined) return token
    throw availability.trouble('wrong', `${whose}answers without a token`)
  }
  discard(answer.body)
  if (![400, 401, 403].includes(answer.status)) {
    throw availability.trouble('wrong', `${whose}answers ${answer.status}`)
  }
  if (credentials === undefined) return undefined
  throw availability.trouble('refused', `${whose}does not take the credentials that are configured`)
}

/** A password by GET, or by POST where there is no GET; what a token server is to exchange, by POST alone. */
async function ask(
  { sender, credentials }: TokenServerOptions,
  whose: string,
  challenge: Bearer,
  scopes: string[],
): Promise<Answer> {
  const send = (request: Request) => sender.send(request, { whose, isVital: true })
  if (credentials !== undefined && 'token' in credentials) {
    const grant = { grant_type: 'refresh_token', refresh_token: credentials.token }
    return await send(postRequest(challenge, scopes, grant))
  }
  const answer = await send(getRequest(challenge, scopes, credentials))
  if (credentials === undefined || (answer.status !== 404 && answer.status !== 405)) return answer
  discard(answer.body)
  return await send(postRequest(challenge, scopes, { grant_type: 'password', ...credentials }))
}

function getRequest(
  { realm, service }: Bearer,
  scopes: string[],
  credentials: { username: string; password: string } | undefined,
): Request {
  const url = new URL(realm)
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of scopes) url.searchParams.append('scope', scope)
  const headers = credentials === undefined ? {} : { authorization: basicHeader(credentials) }
  return { method: 'GET', url, headers }
}

function postRequest({ realm, service }: Bearer, scopes: string[], grant: Record<string, string>): Request {
  const form = new URLSearchParams({ ...grant, client_id: 'shoal', scope: scopes.join(' ') })
  if (service !== undefined) form.set('service', service)
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  return { method: 'POST', url: realm, headers, body: form.toString() }
}

export function basicHeader({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** A token is worth as much as a password while it lives. */
function isAsSafe(own: URL, realm: URL): boolean {
  return realm.protocol === 'https:' || (realm.protocol === 'http:' && own.protocol === 'http:')
}

/** A realm is what the upstream says, and whoever can speak for it could say anything (CVE-2026-33540, CVE-2020-15157). */
function mayHaveCredentials({ url, authHosts }: TokenServerOptions, realm: URL): boolean {
  return [url.hostname, ...authHosts].some((host) => host === realm.hostname || host === realm.host)
}

function readToken(bytes: Uint8Array): Token | undefined {
  const { token, access_token: accessToken, expires_in: expiresIn } = readObject(bytes)
  const value = token ?? accessToken
  if (typeof value !== 'string' || !tokenPattern.test(value)) return undefined
  const isNumber = typeof expiresIn === 'number' && expiresIn > 0
  return { value, lifetimeMs: isNumber ? Math.min(expiresIn * 1000, maxLifetimeMs) : defaultLifetimeMs }
}

function readObject(bytes: Uint8Array): Record<string, Json | undefined> {
  try {
    const json = parseJson(bytes)
    return typeof json === 'object' && json !== null && !Array.isArray(json) ? json : {}
  } catch (error) {
    if (error instanceof OciError) return {}
    throw error
  }
}
