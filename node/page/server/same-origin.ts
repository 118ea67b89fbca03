/** What every change has to bring: the token which this page alone can read, and a body that no form of another site can send. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Context } from 'koa'
import { type BodyWatch, holdBody } from '../../../src/http/http.ts'
import { PageError } from './page-error.ts'

export const tokenHeader = 'X-Shoal-Token'
const maxBodyBytes = 4096

export type Body = Readonly<Record<string, unknown>>

export class SameOrigin {
  /** Of this process: a page that was loaded before a restart has to ask for the next one. */
  readonly token = randomBytes(32).toString('base64url')
  readonly #bodies: BodyWatch

  constructor(bodies: BodyWatch) {
    this.#bodies = bodies
  }

  /** Throws PageError for a request that may not change anything. */
  check(context: Context): void {
    if (!isSame(context.get(tokenHeader), this.token))
      throw new PageError('TOKEN', 403, 'the request does not carry this page’s token; load the page again')
  }

  /** Throws PageError for what is no JSON object. */
  async bodyOf(context: Context): Promise<Body> {
    // A form of another site cannot send this type.
    if (!context.is('application/json')) throw new PageError('BODY', 415, 'the body is not application/json')
    using body = await holdBody(context.req, maxBodyBytes, this.#bodies)
    if (body === undefined) throw new PageError('BODY', 413, `the body is larger than ${maxBodyBytes} bytes`)
    return parseBody(body.bytes.toString('utf8'))
  }
}

/** Throws PageError where the body has no such text. */
export function textOf(body: Body, name: string): string {
  const value = body[name]
  if (typeof value === 'string') return value
  throw new PageError('BODY', 400, `the body has no ${name} that is a text`)
}

export function textsOf(body: Body, name: string): string[] {
  const value = body[name]
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  throw new PageError('BODY', 400, `the body has no ${name} that is a list of texts`)
}

export function flagOf(body: Body, name: string): boolean {
  const value = body[name]
  if (typeof value === 'boolean') return value
  throw new PageError('BODY', 400, `the body has no ${name} that is true or false`)
}

function parseBody(text: string): Body {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // The parser's own words would quote what was sent, which may be a password.
    throw new PageError('BODY', 400, 'the body is not JSON')
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as Body
  throw new PageError('BODY', 400, 'the body is no JSON object')
}

/** In a time that does not tell how much of it was right. */
function isSame(given: string, token: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(given), hash(token))
}
