/** One request, with everything that can go wrong with it told in words, and remembered where it concerns the next one. */
import type { Clock } from '../base/base.ts'
import type { Availability } from './availability.ts'
import { discard } from './bodies.ts'
import { describeFailure, isClosedConnection, isConnectionFailure } from './failure.ts'
import { pauseOf } from './rate-limits.ts'
import type { Answer, Request, Transport } from './transport.ts'

/** Of a 429 that does not say for how long. */
const defaultPauseMs = 10_000

const busyWords: Record<number, string> = { 429: 'too many requests', 503: 'out of service' }

export interface SendOptions {
  /** What stands before the reason where it is not the upstream itself that is asked: `its token server HOST `. */
  whose: string
  /** Whether nothing can be had of the upstream without an answer, so that others need not try. */
  isVital: boolean
  signal?: AbortSignal | undefined
}

export class Sender {
  readonly #transport: Transport
  readonly #availability: Availability
  readonly #clock: Clock

  constructor(transport: Transport, availability: Availability, clock: Clock) {
    this.#transport = transport
    this.#availability = availability
    this.#clock = clock
  }

  /** An answer of any status but those that ask to wait. Throws UpstreamUnavailableError, or the signal's reason. */
  async send(request: Request, options: SendOptions): Promise<Answer> {
    const answer = await this.#try(request, options)
    const { status, headers } = answer
    if (busyWords[status] === undefined) return answer
    discard(answer.body)
    const pauseMs = pauseOf(headers, this.#clock.now()) ?? (status === 429 ? defaultPauseMs : 0)
    throw this.#availability.pause(`${options.whose}answers ${status}, ${busyWords[status]}`, pauseMs)
  }

  async #try(request: Request, { whose, isVital, signal }: SendOptions): Promise<Answer> {
    try {
      return await this.#transport.send(request, { signal }).catch((error: unknown) => {
        // What a kept connection swallowed is asked once more, on another.
        if (signal?.aborted === true || !isClosedConnection(error)) throw error
        return this.#transport.send(request, { signal })
      })
    } catch (cause) {
      signal?.throwIfAborted()
      const reason = `${whose}${describeFailure(cause)}`
      if (isVital && isConnectionFailure(cause)) throw this.#availability.unreachable(reason, { cause })
      throw this.#availability.trouble('unreachable', reason, { cause })
    }
  }
}
