/**
 * Bearer tokens, for clients that decide by one answer whether they show credentials at all: whoever has none gets one too. A
 * token is good at the node that gave it, for a while, and only for the version of the account that it was given to.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../base/base.ts'
import type { AccountEntry } from '../records/records.ts'

/** For whom it was issued. */
type Claims = { name: string; version: string } | 'anonymous'

export const tokenMs = 15 * 60_000

export class Tokens {
  readonly #key = randomBytes(32)
  readonly #clock: Clock

  /** A clock that measures: tokens die with the process, whatever the time of day. */
  constructor(clock: Clock) {
    this.#clock = clock
  }

  issue(account: AccountEntry | undefined): string {
    const endMs = this.#clock.now() + tokenMs
    const claims = [endMs, ...(account === undefined ? [] : [account.name, account.version])]
    const body = Buffer.from(JSON.stringify(claims)).toString('base64url')
    return `${body}.${this.#sign(body).toString('base64url')}`
  }

  /** `undefined` for what this process did not issue, or that has ended. */
  read(token: string): Claims | undefined {
    const [, body = '', signature = ''] = /^([\w-]+)\.([\w-]{43})$/.exec(token) ?? []
    const given = Buffer.from(signature, 'base64url')
    const right = this.#sign(body)
    if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined
    const [endMs, name, version] = JSON.parse(Buffer.from(body, 'base64url').toString()) as [
      number,
      string?,
      string?,
    ]
    if (endMs <= this.#clock.now()) return undefined
    return name === undefined || version === undefined ? 'anonymous' : { name, version }
  }

  #sign(body: string): Buffer {
    return createHmac('sha256', this.#key).update(body).digest()
  }
}

export function readBearer(authorization: string): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1]
}
