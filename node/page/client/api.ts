/** Asking the page's API. */
import { signal } from '@preact/signals'
import type { ErrorAnswer } from '../answers/answer.ts'
import { seal } from './seal.ts'
import { sentence } from './sentence.ts'

/** Counts up whenever the node says that one has to sign in. */
export const signInAsked = signal(0)

/** What the node refused, or that it could not be reached. */
export class ApiError extends Error {
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** Throws ApiError. */
export async function ask<T>(path: string, options: { signal?: AbortSignal } = {}): Promise<T> {
  return await answerOf<T>(await reach(path, options), [...new URLSearchParams(path.split('?')[1]).values()])
}

/** Throws ApiError; `READ_ONLY` where this page may change nothing. */
export async function change<T>(path: string, body: object): Promise<T> {
  const { token } = await ask<{ token: string }>('/api/token')
  const response = await reach(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Shoal-Token': token },
    body: JSON.stringify(body),
  })
  return await answerOf<T>(response, Object.values(body))
}

type Init = RequestInit & { headers?: Record<string, string> }

/** Throws ApiError where the node does not answer. */
export async function reach(path: string, init: Init): Promise<Response> {
  try {
    return await fetch(path, { ...init, headers: { ...init.headers, ...seal.headers() } })
  } catch (cause) {
    if (init.signal?.aborted === true) throw cause
    throw new ApiError('UNREACHABLE', 'The node does not answer. Does shoal serve still run?', { cause })
  }
}

/** `given` is what was asked about. */
async function answerOf<T>(response: Response, given: unknown[]): Promise<T> {
  if (response.ok) return (await response.json()) as T
  const text = await response.text()
  let error: ErrorAnswer['error'] = { code: 'FAILED', message: `the node answered ${response.status}` }
  try {
    error = (JSON.parse(text) as ErrorAnswer).error
  } catch (cause) {
    // Not this API's answer: something stands between the page and the node.
    if (!(cause instanceof SyntaxError)) throw cause
  }
  if (error.code === 'SIGN_IN') signInAsked.value++
  throw new ApiError(error.code, sentence(error.message, given))
}
