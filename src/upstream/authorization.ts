/** What a request has to carry so that the upstream answers it: nothing, a password, or a token that is fetched for it. */
import { type Clock, SingleFlight, unlessAborted } from '../base/base.ts'
import type { Repository } from '../oci/oci.ts'
import type { Availability } from './availability.ts'
import { discard } from './bodies.ts'
import { type Challenge, isSameChallenge, readChallenge } from './challenges.ts'
import type { Sender } from './sender.ts'
import { basicHeader, fetchToken, type TokenServerOptions } from './token-server.ts'
import type { AnswerHeaders } from './transport.ts'
import type { Credentials } from './upstream.ts'

export interface AuthorizationOptions {
  url: URL
  authHosts: string[]
  credentials: Credentials | undefined
  sender: Sender
  availability: Availability
  clock: Clock
}

export interface Authorized {
  /** For the Authorization header. */
  header?: string
  /** What it answers; a token from before may have been revoked meanwhile. */
  challenge: Challenge | undefined
  isFromBefore: boolean
}

interface KeptToken {
  header: string
  /** Not to be used from then on. */
  staleMs: number
}

type Options = { signal?: AbortSignal | undefined }

/** An upstream that changes how it is entered says so with a 401, except when it wants nothing any more. */
const challengeMs = 3_600_000
const maxTokens = 1_000
/** A token that is about to expire may do so on its way; a short one is used for most of its life. */
const marginMs = 10_000
const marginShare = 0.2

export class Authorization {
  readonly #options: AuthorizationOptions
  readonly #tokenServer: TokenServerOptions
  /** `undefined` inside where nothing is wanted. */
  #known: { challenge: Challenge | undefined; staleMs: number } | undefined
  /** By repository, the oldest first. */
  readonly #tokens = new Map<Repository, KeptToken>()
  readonly #learning = new SingleFlight<Challenge | undefined>()
  readonly #fetching = new SingleFlight<string | undefined>()

  constructor(options: AuthorizationOptions) {
    this.#options = options
    this.#tokenServer = options
  }

  /** Asks the upstream and its token server only for what is not known. Throws UpstreamUnavailableError. */
  async authorize(repository: Repository, { signal }: Options): Promise<Authorized> {
    const { clock, credentials } = this.#options
    const known = this.#known
    const challenge =
      known !== undefined && clock.now() < known.staleMs
        ? known.challenge
        : await unlessAborted(
            this.#learning.run('', () => this.#learn()),
            signal,
          )
    if (challenge === undefined) return { challenge, isFromBefore: false }
    if (challenge.scheme === 'basic') {
      const header =
        credentials !== undefined && 'username' in credentials ? basicHeader(credentials) : undefined
      return { ...(header === undefined ? {} : { header }), challenge, isFromBefore: false }
    }
    const kept = this.#tokens.get(repository)
    if (kept !== undefined && clock.now() < kept.staleMs)
      return { header: kept.header, challenge, isFromBefore: true }
    const header = await unlessAborted(
      this.#fetching.run(repository, () => this.#fetch(repository, challenge)),
      signal,
    )
    return { ...(header === undefined ? {} : { header }), challenge, isFromBefore: false }
  }

  /**
   * After a 401: whether asking again can change it. Throws UpstreamUnavailableError where the credentials that are configured
   * are not taken.
   */
  reconsider(repository: Repository, headers: AnswerHeaders, sent: Authorized): boolean {
    const { availability, credentials } = this.#options
    const challenge = readChallenge(headers)
    if (challenge === undefined) return false
    this.#keepChallenge(challenge)
    const isNew = sent.challenge === undefined || !isSameChallenge(sent.challenge, challenge)
    if (challenge.scheme === 'bearer') {
      if (sent.isFromBefore) this.#tokens.delete(repository)
      return sent.isFromBefore || isNew
    }
    if (credentials === undefined)
      availability.note('wants a user name and password, and none are configured')
    else if (!('username' in credentials)) availability.note('wants a user name and password, not a token')
    else if (!isNew)
      throw availability.trouble('refused', 'does not take the user name and password that are configured')
    return isNew && credentials !== undefined && 'username' in credentials
  }

  /** By the question that needs nothing else, so that no question that counts is spent on it. */
  async #learn(): Promise<Challenge | undefined> {
    const { sender, url, availability } = this.#options
    const request = { method: 'GET' as const, url: new URL('/v2/', url), headers: {} }
    const answer = await sender.send(request, { whose: '', isVital: true })
    availability.answered(answer.headers)
    discard(answer.body)
    const challenge = answer.status === 401 ? readChallenge(answer.headers) : undefined
    this.#keepChallenge(challenge)
    return challenge
  }

  #keepChallenge(challenge: Challenge | undefined): void {
    this.#known = { challenge, staleMs: this.#options.clock.now() + challengeMs }
  }

  async #fetch(
    repository: Repository,
    challenge: Extract<Challenge, { scheme: 'bearer' }>,
  ): Promise<string | undefined> {
    const { clock } = this.#options
    const scopes = [`repository:${repository}:pull`, ...challenge.scopes]
    const askedMs = clock.now()
    const token = await fetchToken(this.#tokenServer, challenge, scopes)
    if (token === undefined) return undefined
    const header = `Bearer ${token.value}`
    const margin = Math.min(marginMs, token.lifetimeMs * marginShare)
    this.#tokens.delete(repository)
    this.#tokens.set(repository, { header, staleMs: askedMs + token.lifetimeMs - margin })
    const [oldest] = this.#tokens.keys()
    if (this.#tokens.size > maxTokens && oldest !== undefined) this.#tokens.delete(oldest)
    return header
  }
}
