/**
 * Who signed in with a browser. A session has two secrets: one for a cookie, which every port of a host is sent and can set, and
 * one for the page alone. It ends by signing out, after its time, and with any change of the account.
 */
import { randomBytes } from 'node:crypto'
import { type Clock, RecentMap } from '../base/base.ts'
import type { AccountEntry } from '../records/records.ts'
import { type Asker, askerOf, isUsable } from './asker.ts'
import { KeyedHash } from './keyed-hash.ts'

export interface SessionSecrets {
  /** For the cookie. */
  id: string
  /** For the page. */
  seal: string
}

interface Session {
  name: string
  version: string
  endMs: number
}

interface SessionsOptions {
  findAccount(name: string): AccountEntry | undefined
  /** For durations. */
  steady: Clock
  /** What expiry is compared with. */
  clock: Clock
}

export const sessionMs = 8 * 3600_000
const maxSessions = 4096
/** The oldest goes: nobody signs others out by signing in over and over. */
const maxOfAccount = 16
const secretBytes = 32

export class Sessions {
  readonly #options: SessionsOptions
  readonly #hash = new KeyedHash()
  /** By keyed hash of both secrets. */
  readonly #sessions = new RecentMap<string, Session>(maxSessions)

  constructor(options: SessionsOptions) {
    this.#options = options
  }

  open({ name, version }: AccountEntry): SessionSecrets {
    const own = [...this.#sessions].filter(([, session]) => session.name === name)
    if (own.length >= maxOfAccount) this.#sessions.delete(own[0]?.[0] ?? '')
    const id = randomBytes(secretBytes).toString('base64url')
    const seal = randomBytes(secretBytes).toString('base64url')
    const endMs = this.#options.steady.now() + sessionMs
    this.#sessions.set(this.#keyOf({ id, seal }), { name, version, endMs })
    return { id, seal }
  }

  find(secrets: SessionSecrets): Asker | undefined {
    const { findAccount, steady, clock } = this.#options
    const key = this.#keyOf(secrets)
    const session = this.#sessions.get(key)
    if (session === undefined) return undefined
    const account = findAccount(session.name)
    if (
      account?.version === session.version &&
      session.endMs > steady.now() &&
      isUsable(account, clock.now())
    )
      return askerOf(account)
    this.#sessions.delete(key)
    return undefined
  }

  close(secrets: SessionSecrets): void {
    this.#sessions.delete(this.#keyOf(secrets))
  }

  #keyOf({ id, seal }: SessionSecrets): string {
    return this.#hash.of(`${id} ${seal}`)
  }
}
