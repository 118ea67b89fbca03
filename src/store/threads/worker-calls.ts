/** A worker thread's own side: requests about one file are met in order, those about different files side by side. */
import { parentPort } from 'node:worker_threads'
import { giveWayToMainThread } from './worker-priority.ts'

export interface WorkerRequest {
  /** A number that the caller chose. */
  file: number
}

export interface WorkerCall<Request> {
  call: number
  request: Request
}

/** `value`, or `error` with the system's error code. */
export interface WorkerReply<Value> {
  call: number
  value?: Value
  error?: { message: string; code: string | undefined }
}

/**
 * Answers what the main thread asks this thread, for as long as it runs. `atOnce` is given each request before its turn, and
 * may answer it out of turn. `givenBack` is memory of an answer that is the main thread's from then on.
 */
export function answerCalls<Request extends WorkerRequest, Value>(
  handle: (request: Request) => Promise<Value>,
  {
    atOnce = () => undefined,
    givenBack = () => [],
  }: { atOnce?(request: Request): Value | undefined; givenBack?(value: Value): ArrayBuffer[] } = {},
): void {
  const port = parentPort
  if (port === null) throw new Error('a worker of the store runs as a worker thread only')
  const tails = new Map<number, Promise<void>>()
  const reply = (answer: WorkerReply<Value>): void =>
    port.postMessage(answer, answer.value === undefined ? [] : givenBack(answer.value))

  giveWayToMainThread()
  port.on('message', ({ call, request }: WorkerCall<Request>) => {
    const value = atOnce(request)
    if (value !== undefined) {
      reply({ call, value })
      return
    }
    const before = tails.get(request.file) ?? Promise.resolve()
    const tail = before.then(async () => {
      reply(await answerOf(call, () => handle(request)))
      if (tails.get(request.file) === tail) tails.delete(request.file)
    })
    tails.set(request.file, tail)
  })
}

async function answerOf<Value>(call: number, meet: () => Promise<Value>): Promise<WorkerReply<Value>> {
  try {
    return { call, value: await meet() }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    return { call, error: { message: error instanceof Error ? error.message : String(error), code } }
  }
}
