/** Requests to one upstream: only when it may be asked, redirects followed by hand, and failures in words. */
import type { Clock } from '../base/base.ts'
import type { Availability } from './availability.ts'
import { describeFailure, isConnectionFailure } from './failure.ts'
import { pauseOf } from './rate-limits.ts'
import type { Answer, Transport } from './transport.ts'

const maxRedirects = 5
const redirects = new Set([301, 302, 303, 307, 308])
const defaultPauseMs = 10_000

export interface RequestsOptions {
  origin: string
  answerMs: number
  transport: Transport
  availability: Availability
  clock: Clock
}

type Options = { signal?: AbortSignal }

export class Requests {
  readonly #options: RequestsOptions

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  /**
   * The answer at the end of all redirects, whatever its status, except that it asks to wait. Throws UpstreamUnavailableError,
   * or the signal's reason.
   */
  async send(
    method: 'GET' | 'HEAD',
    path: string,
    headers: Record<string, string>,
    authorization: string | undefined,
    options: Options = {},
  ): Promise<Answer> {
    const { origin, answerMs, availability } = this.#options
    availability.check(answerMs)
    let url = new URL(path, origin)
    let secret = authorization
    for (let redirect = 0; redirect <= maxRedirects; redirect++) {
      const sent = { ...headers, ...(secret === undefined ? {} : { authorization: secret }) }
      const answer = await this.#sendOnce(method, url, sent, options)
      if (!redirects.has(answer.status)) return answer
      answer.body.destroy()
      url = this.#nextOf(answer)
      // Once it led away, nothing that follows is given a credential, not even where it leads back.
      if (url.origin !== origin) secret = undefined
    }
    throw availability.trouble('wrong', `redirects more than ${maxRedirects} times`)
  }

  async #sendOnce(
    method: 'GET' | 'HEAD',
    url: URL,
    headers: Record<string, string>,
    { signal }: Options,
  ): Promise<Answer> {
    const { transport, availability, clock, origin } = this.#options
    const isOwn = url.origin === origin
    let answer: Answer
    try {
      answer = await transport.send({ method, url, headers }, signal === undefined ? {} : { signal })
    } catch (error) {
      signal?.throwIfAborted()
      const where = isOwn ? '' : `redirects to ${url.host}, which `
      const reason = `${where}${describeFailure(error)}`
      if (isOwn && isConnectionFailure(error)) throw availability.unreachable(reason, { cause: error })
      throw availability.trouble('unreachable', reason, { cause: error })
    }
    if (isOwn) availability.answered(answer.headers)
    if (answer.status === 429 || answer.status === 503) {
      answer.body.destroy()
      const pauseMs = pauseOf(answer.headers, clock.now())
      throw availability.pause(
        `answers ${answer.status}, to be asked later`,
        pauseMs ?? (answer.status === 429 ? defaultPauseMs : 0),
      )
    }
    return answer
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
