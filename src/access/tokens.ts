/**
 * Bearer tokens, for clients that decide by one answer whether they show credentials at all: whoever has none gets one too. A
 * token is good at the node that gave it, for a while, and only for the version of the account that it was given to.
 */
import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../base/base.ts'
import type { AccountEntry } from '../records/records.ts'
import { KeyedHash } from './keyed-hash.ts'

/** For whom it was issued. */
type Claims = { name: string; version: string } | 'anonymous'

export const tokenMs = 15 * 60_000

export class Tokens {
  readonly #hash = new KeyedHash()
  readonly #clock: Clock

  /** A clock that measures: tokens die with the process, whatever the time of day. */
  constructor(clock: Clock) {
    this.#clock = clock
  }

  issue(account: AccountEntry | undefined): string {
    const endMs = this.#clock.now() + tokenMs
    const claims = [endMs, ...(account === undefined ? [] : [account.name, account.version])]
    const body = Buffer.from(JSON.stringify(claims)).toString('base64url')
    return `${body}.${this.#hash.of(body)}`
  }

  /** `undefined` for what this process did not issue, or that has ended. */
  read(token: string): Claims | undefined {
    const [, body = '', signature = ''] = /^([\w-]+)\.([0-9a-f]{64})$/.exec(token) ?? []
    const right = this.#hash.of(body)
    if (signature.length !== right.length) return undefined
    if (!timingSafeEqual(Buffer.from(signature), Buffer.from(right))) return undefined
    const [endMs, name, version] = JSON.parse(Buffer.from(body, 'base64url').toString()) as [
      number,
      string?,
      string?,
    ]
    if (endMs <= this.#clock.now()) return undefined
    return name === undefined || version === undefined ? 'anonymous' : { name, version }
  }
}

export function readBearer(authorization: string): string | undefined {
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1]
}
