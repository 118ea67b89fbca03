/**
 * Brings JSON texts to one receiver over HTTP, in order and at least once while the node runs: what fails is tried again, later
 * each time, until it is too old. The queue is bounded; what does not fit is dropped and counted. Nothing ever waits for it.
 */
import { type Clock, CodedError, type Logger } from '../src/base/base.ts'

export type DeliveryResult = 'delivered' | 'full' | 'expired' | 'stopped'

export interface DeliveryOptions {
  /** For the log: what does not arrive, such as "events for a webhook". */
  what: string
  url: URL
  headers: Readonly<Record<string, string>>
  contentType: string
  /** The body of a request. */
  envelope(texts: readonly string[]): string
  /** What became of so many of them. */
  onResult(result: DeliveryResult, count: number): void
  onRequest(result: 'done' | 'failed'): void
  clock: Clock
  /** From 0 to 1. */
  random: () => number
  logger: Logger
  limits?: Partial<DeliveryLimits>
}

export interface DeliveryLimits {
  /** Waiting, in numbers and in characters. */
  maxTexts: number
  maxCharacters: number
  /** In one request. */
  maxBatch: number
  /** Before a request, so that there is more to send with it. */
  lingerMs: number
  /** Until a receiver has answered. */
  timeoutMs: number
  /** Between the first failure and the next attempt; doubled with each, up to `maxPauseMs`. */
  pauseMs: number
  maxPauseMs: number
  /** What is older is dropped when its delivery fails. */
  maxAgeMs: number
  /** For a last attempt when the node stops. */
  farewellMs: number
}

const defaultLimits: DeliveryLimits = {
  maxTexts: 1000,
  maxCharacters: 4 * 1024 * 1024,
  maxBatch: 50,
  lingerMs: 0,
  timeoutMs: 10_000,
  pauseMs: 1000,
  maxPauseMs: 5 * 60_000,
  maxAgeMs: 3_600_000,
  farewellMs: 2000,
}

interface Waiting {
  readonly text: string
  readonly atMs: number
}

export class Delivery implements AsyncDisposable {
  readonly #options: DeliveryOptions
  readonly #limits: DeliveryLimits
  readonly #closing = new AbortController()
  #queue: Waiting[] = []
  #characters = 0
  #failures = 0
  #news = Promise.withResolvers<void>()
  readonly #working: Promise<void>

  constructor(options: DeliveryOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    this.#working = this.#work()
  }

  /** How many wait. */
  get size(): number {
    return this.#queue.length
  }

  /** Returns at once. */
  add(text: string): void {
    const { maxTexts, maxCharacters } = this.#limits
    if (this.#queue.length >= maxTexts || this.#characters + text.length > maxCharacters) {
      this.#options.onResult('full', 1)
      return
    }
    this.#queue.push({ text, atMs: this.#options.clock.now() })
    this.#characters += text.length
    this.#news.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('the node stops'))
    this.#news.resolve()
    await this.#working
    if (this.#queue.length > 0 && this.#failures === 0) await this.#attempt(this.#limits.farewellMs)
    this.#lose('stopped', this.#queue.length)
    this.#queue = []
  }

  async #work(): Promise<void> {
    const { signal } = this.#closing
    while (!signal.aborted) {
      if (this.#queue.length === 0) {
        await this.#news.promise
        this.#news = Promise.withResolvers()
        await this.#sleep(this.#limits.lingerMs, signal)
      } else if (!(await this.#attempt(this.#limits.timeoutMs, signal))) await this.#pause(signal)
    }
  }

  /** Whether the first of the queue were taken. */
  async #attempt(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const { onRequest, onResult } = this.#options
    const batch = this.#queue.slice(0, this.#limits.maxBatch)
    const timeout = AbortSignal.timeout(timeoutMs)
    try {
      await this.#post(batch, signal === undefined ? timeout : AbortSignal.any([signal, timeout]))
    } catch (error) {
      // Nobody knows whether it arrived: it is sent again in farewell, as at least once allows.
      if (signal?.aborted) return false
      onRequest('failed')
      this.#failed(error)
      return false
    }
    onRequest('done')
    onResult('delivered', batch.length)
    this.#remove(batch.length)
    const { logger, what } = this.#options
    if (this.#failures > 0) logger.info(this.#receiver(), `${what} are taken again`)
    this.#failures = 0
    return true
  }

  async #post(batch: readonly Waiting[], signal: AbortSignal): Promise<void> {
    const { url, headers, contentType, envelope } = this.#options
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': contentType },
      body: envelope(batch.map(({ text }) => text)),
      // Secrets in the headers are for this receiver alone.
      redirect: 'manual',
      signal,
    })
    // Whatever it says, of any length, is nothing to this node.
    await response.body?.cancel()
    if (!response.ok) throw new AnswerError(`it answered ${response.status}`)
  }

  #failed(error: unknown): void {
    const { logger, clock, what } = this.#options
    this.#failures++
    if (this.#failures === 1) {
      logger.warn({ ...this.#receiver(), reason: reasonOf(error) }, `${what} are not taken; trying again`)
    }
    const oldestMs = clock.now() - this.#limits.maxAgeMs
    const expired = this.#queue.findIndex(({ atMs }) => atMs >= oldestMs)
    const count = expired === -1 ? this.#queue.length : expired
    this.#remove(count)
    this.#lose('expired', count)
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { pauseMs, maxPauseMs } = this.#limits
    const fullMs = Math.min(maxPauseMs, pauseMs * 2 ** Math.min(this.#failures - 1, 20))
    // Nodes that lost a receiver together do not come back to it in step.
    await this.#sleep(fullMs * (0.5 + this.#options.random() / 2), signal)
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (ms === 0) return
    try {
      await this.#options.clock.sleep(ms, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  #remove(count: number): void {
    for (const { text } of this.#queue.splice(0, count)) this.#characters -= text.length
  }

  #lose(result: 'expired' | 'stopped', count: number): void {
    if (count === 0) return
    const { onResult, logger, what } = this.#options
    onResult(result, count)
    logger.warn({ ...this.#receiver(), count, result }, `${what} were dropped`)
  }

  /** A path or a query may be a secret, too. */
  #receiver(): { receiver: string } {
    return { receiver: this.#options.url.origin }
  }
}

/** The receiver answered with something else than 2xx. */
class AnswerError extends CodedError {
  readonly code = 'ANSWER'
}

/** What other errors say may quote an address or a header, which the log must not hold. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const { cause } = error
  if (cause instanceof Error && 'code' in cause) return String(cause.code)
  if (error instanceof AnswerError) return error.message
  return error.name === 'TimeoutError' ? 'it did not answer in time' : error.name
}
