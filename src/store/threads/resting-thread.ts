/** A thread that is started when it is needed, replaced when it dies, and ended when nobody has needed it for a while. */
import { Background, type Clock, ClosingError, type Logger } from '../../base/base.ts'
import { type threadOf, WorkerThread } from './worker-thread.ts'

/** A thread takes some 15 MiB, and 50 ms to start. */
const restsAfterMs = 30_000

export interface RestingThreadOptions {
  /** Makes the thread. */
  start: ReturnType<typeof threadOf>
  /** What it is called when it dies. */
  name: string
  clock: Clock
  logger: Logger
}

export class RestingThread<Request, Value> implements AsyncDisposable {
  readonly #options: RestingThreadOptions
  readonly #background: Background
  #thread: WorkerThread<Request, Value> | undefined
  #users = 0
  #usedMs = 0
  #isWatched = false
  #closed = false

  constructor(options: RestingThreadOptions) {
    this.#options = options
    this.#background = new Background('the store', options.logger)
  }

  /** Files that are open in it, and calls. */
  get users(): number {
    return this.#users
  }

  /** It stays until whoever entered leaves. */
  enter(): WorkerThread<Request, Value> {
    if (this.#closed) throw new ClosingError('the store is closed')
    this.#users++
    if (this.#thread === undefined || this.#thread.isLost) this.#thread = this.#started()
    return this.#thread
  }

  leave(): void {
    this.#users--
    this.#usedMs = this.#options.clock.now()
    if (this.#users > 0 || this.#isWatched) return
    this.#isWatched = true
    this.#background.start('ending idle threads', (signal) => this.#endWhenIdle(signal))
  }

  /** Starts it for who is going to enter before it rests. */
  ready(): void {
    if (this.#closed) return
    this.enter()
    this.leave()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    await this.#background[Symbol.asyncDispose]()
    await this.#thread?.[Symbol.asyncDispose]()
  }

  #started(): WorkerThread<Request, Value> {
    const { start, name, logger } = this.#options
    const thread = new WorkerThread<Request, Value>(start(), (lost) => {
      if (this.#closed || this.#thread !== thread) return
      logger.error({ err: lost }, `${name} died; it is replaced`)
    })
    return thread
  }

  async #endWhenIdle(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    try {
      while (this.#users === 0) {
        const leftMs = this.#usedMs + restsAfterMs - clock.now()
        if (leftMs <= 0) break
        await clock.sleep(leftMs, { signal })
      }
    } finally {
      this.#isWatched = false
    }
    if (this.#users > 0) return
    const thread = this.#thread
    this.#thread = undefined
    await thread?.[Symbol.asyncDispose]()
    logger.debug({}, 'ended a thread that was idle')
  }
}
