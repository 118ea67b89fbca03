/** Questions to one upstream: authorized, and redirects followed by hand, without credentials once they lead away. */
import type { Repository } from '../oci/oci.ts'
import { Authorization, type AuthorizationOptions } from './authorization.ts'
import { discard } from './bodies.ts'
import type { Answer } from './transport.ts'

export interface Question {
  method: 'GET' | 'HEAD'
  repository: Repository
  /** With the query. */
  path: string
  headers: Record<string, string>
}

/** The answer at the end of all redirects. */
export interface Reached {
  answer: Answer
  /** Whether the upstream itself was asked all the way, and not something that it refers to. */
  isOwn: boolean
}

type Options = { signal?: AbortSignal | undefined }

const maxRedirects = 5
const redirects = new Set([301, 302, 303, 307, 308])

export class Requests {
  readonly #options: AuthorizationOptions
  readonly #authorization: Authorization

  constructor(options: AuthorizationOptions) {
    this.#options = options
    this.#authorization = new Authorization(options)
  }

  /** Of whatever status, except that it asks to wait. Throws UpstreamUnavailableError, or the signal's reason. */
  async send(question: Question, options: Options): Promise<Reached> {
    const { repository } = question
    const sent = await this.#authorization.authorize(repository, options)
    const reached = await this.#follow(question, sent.header, options)
    const { answer, isOwn } = reached
    if (answer.status !== 401 || !isOwn) return reached
    if (!this.#authorization.reconsider(repository, answer.headers, sent)) return reached
    discard(answer.body)
    const again = await this.#authorization.authorize(repository, options)
    return await this.#follow(question, again.header, options)
  }

  async #follow(
    { method, path, headers }: Question,
    authorization: string | undefined,
    { signal }: Options,
  ): Promise<Reached> {
    const { availability, sender } = this.#options
    let url = new URL(path, this.#options.url)
    let isOwn = true
    for (let redirect = 0; redirect <= maxRedirects; redirect++) {
      // Once it led away nothing that follows is given a credential, not even where it leads back.
      const isAuthorized = isOwn && authorization !== undefined
      const answer = await sender.send(
        { method, url, headers: isAuthorized ? { ...headers, authorization } : headers },
        { whose: isOwn ? '' : `redirects to ${url.host}, which `, isVital: isOwn, signal },
      )
      if (isOwn) availability.answered(answer.headers)
      if (!redirects.has(answer.status)) return { answer, isOwn }
      discard(answer.body)
      url = this.#nextOf(answer)
      isOwn &&= url.origin === this.#options.url.origin
    }
    throw availability.trouble('wrong', `redirects more than ${maxRedirects} times`)
  }

  #nextOf({ url, headers }: Answer): URL {
    const { availability } = this.#options
    const { location = '' } = headers
    const next = location === '' ? null : URL.parse(location, url.href)
    if (next === null) throw availability.trouble('wrong', 'redirects to nowhere')
    if (next.protocol !== 'https:' && (next.protocol !== 'http:' || url.protocol === 'https:')) {
      throw availability.trouble(
        'wrong',
        `redirects from ${url.protocol}// to ${next.protocol}//, which is refused`,
      )
    }
    if (next.username !== '' || next.password !== '') {
      throw availability.trouble('wrong', `redirects to ${next.host} with credentials in the address`)
    }
    return next
  }
}
