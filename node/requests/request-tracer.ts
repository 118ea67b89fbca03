/** Keeps what is told of a request until it is over, and hands it to whoever counts, logs, traces or notifies. */
import type { IncomingMessage } from 'node:http'
import {
  type Deleted,
  type Logger,
  type Pulled,
  type Pushed,
  preciseNow,
  type Stage,
  type Trace,
  type Tracer,
} from '../../src/base/base.ts'

export interface StageTime {
  readonly stage: Stage
  readonly startMs: number
  readonly endMs: number
}

/** Times are milliseconds since the epoch. */
export interface FinishedRequest {
  readonly request: IncomingMessage
  /** The address it came from; absent where the client was gone before the request was looked at. */
  readonly client: string | undefined
  readonly route: string
  readonly status: number
  readonly error: unknown
  readonly startMs: number
  readonly endMs: number
  readonly stages: readonly StageTime[]
  readonly pull: Pulled | undefined
  readonly push: Pushed | undefined
  readonly deletion: Deleted | undefined
  /** The name of the account of who asked; absent for who did not sign in. */
  readonly account: string | undefined
}

/** Called in the way of every request: it may not wait for anything. */
export type RequestListener = (finished: FinishedRequest) => void

export function createRequestTracer(listeners: readonly RequestListener[], logger: Logger): Tracer {
  const tell = (finished: FinishedRequest): void => {
    for (const listener of listeners) {
      try {
        listener(finished)
      } catch (error) {
        logger.error({ err: error }, 'a request could not be reported')
      }
    }
  }
  return { start: (request) => new RequestTrace(request, tell) }
}

class RequestTrace implements Trace, FinishedRequest {
  readonly request: IncomingMessage
  readonly client: string | undefined
  readonly startMs = preciseNow()
  readonly stages: StageTime[] = []
  readonly #tell: RequestListener
  route = ''
  status = 0
  error: unknown
  endMs = 0
  pull: Pulled | undefined
  push: Pushed | undefined
  deletion: Deleted | undefined
  account: string | undefined

  constructor(request: IncomingMessage, tell: RequestListener) {
    this.request = request
    // Of a socket that is closed nobody can tell any more, and a client may close it once it has its answer.
    this.client = request.socket.remoteAddress
    this.#tell = tell
  }

  stage(stage: Stage, startMs: number, endMs = preciseNow()): void {
    this.stages.push({ stage, startMs, endMs })
  }

  pulled(pull: Pulled): void {
    this.pull = pull
  }

  pushed(push: Pushed): void {
    this.push = push
  }

  signedIn(account: string): void {
    this.account = account
  }

  deleted(deletion: Deleted): void {
    this.deletion = deletion
  }

  end(route: string, status: number, error?: unknown): void {
    this.route = route
    this.status = status
    this.error = error
    this.endMs = preciseNow()
    this.#tell(this)
  }
}
